package lab

import (
	"errors"
	"fmt"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// SetCable pulls the host's cable out of the switch, or plugs it in again and
// waits until it carries frames. Without it the host has no carrier.
func (l *LAN) SetCable(h *Host, plugged bool) error {
	if h.port == "" {
		return fmt.Errorf("host %s: cable: it is not on the switch", h.name)
	}
	err := l.fabric.rtnl(func(c *rtnetlink.Conn) error {
		port, err := linkIndex(c, h.port)
		if err != nil {
			return err
		}
		var flags uint32
		if plugged {
			flags = unix.IFF_UP
		}
		return setLinkFlags(c, port, flags, unix.IFF_UP)
	})
	if err == nil && plugged {
		err = l.waitPort(h)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("host %s: cable", h.name), err)
	}
	return nil
}
