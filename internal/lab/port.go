package lab

import (
	"context"
	"fmt"

	"github.com/jsimonetti/rtnetlink/v2"
)

// OpenPort has the switch forward from and to the host's port, or lets nothing
// through while the link stays up: as a port with spanning tree does in the first
// 30 s after its link came up. Networks that the port carries with a tag are not
// affected.
func (l *LAN) OpenPort(h *Host, open bool) error {
	if h.port == "" {
		return fmt.Errorf("host %s: port: it is not on the switch", h.name)
	}
	var bridge uint32 // a port of none hears and says nothing
	if open {
		var err error
		if bridge, err = l.bridge(h.segment); err != nil {
			return err
		}
	}
	// The state that a bridge has for each port cannot be set: without spanning
	// tree the kernel puts it back at once.
	err := l.fabric.Netlink(func(c *rtnetlink.Conn) error {
		index, err := linkIndex(c, h.port)
		if err != nil {
			return err
		}
		err = c.Link.Set(&rtnetlink.LinkMessage{Index: index, Attributes: &rtnetlink.LinkAttributes{Master: &bridge}})
		if err != nil || !open {
			return err
		}
		ctx, cancel := context.WithTimeout(l.ctx, setupTimeout)
		defer cancel()
		return waitLinkUp(ctx, c, h.port)
	})
	if err != nil {
		return fmt.Errorf("host %s: port: %w", h.name, err)
	}
	return nil
}
