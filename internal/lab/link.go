package lab

import (
	"context"
	"fmt"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/netns"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/jsimonetti/rtnetlink/v2/driver"
	"golang.org/x/sys/unix"
)

const (
	loopbackIndex = 1
	// pollInterval is how often the kernel is asked whether it is done.
	pollInterval = 2 * time.Millisecond
)

// bridgeMAC is that of the switch. It is fixed, or the bridge would take its address
// from a port.
func bridgeMAC() ether.MAC { return ether.MAC{0x02, 0x77, 0xff, 0xff, 0xff, 0xfe} }

// addBridge makes the switch: no spanning tree, no forward delay, no multicast
// snooping, so that it forwards at once and sends nothing itself. It is a cheap
// one, which forwards what is meant for switches.
func addBridge(c *rtnetlink.Conn, name string, mac ether.MAC) (index uint32, err error) {
	delay, stp, snooping, groups := uint32(0), driver.BridgeStpStateDisabled, driver.BridgeEnableDisabled, groupsForwarded()
	err = c.Link.New(&rtnetlink.LinkMessage{
		Flags:  unix.IFF_UP,
		Change: unix.IFF_UP,
		Attributes: &rtnetlink.LinkAttributes{
			Name:    name,
			Address: mac.HardwareAddr(),
			Info: &rtnetlink.LinkInfo{Kind: "bridge", Data: &driver.Bridge{
				ForwardDelay: &delay, StpState: &stp, McastSnooping: &snooping, GroupFwdMask: &groups,
			}},
		},
	})
	if err != nil {
		return 0, fmt.Errorf("add bridge %s: %w", name, err)
	}
	return linkIndex(c, name)
}

// A cable is a pair of virtual Ethernet interfaces: one end here, in the
// namespace of the caller, the other in the namespace far.
type cable struct {
	near    string
	nearMAC ether.MAC // zero: the kernel's choice
	master  uint32    // the bridge that near is a port of; 0: none
	far     *netns.Namespace
	farName string
	farMAC  ether.MAC
}

// lay makes the cable. The near end comes up at once, so that the link is
// whole as soon as the far end is set up.
func (w cable) lay(c *rtnetlink.Conn) error {
	near := &rtnetlink.LinkAttributes{Name: w.near}
	if w.nearMAC != (ether.MAC{}) {
		near.Address = w.nearMAC.HardwareAddr()
	}
	if w.master != 0 {
		near.Master = &w.master
	}
	return w.far.WithFD(func(fd int) error {
		near.Info = &rtnetlink.LinkInfo{Kind: "veth", Data: &driver.Veth{
			PeerInfo: &rtnetlink.LinkMessage{Attributes: &rtnetlink.LinkAttributes{
				Name:    w.farName,
				Address: w.farMAC.HardwareAddr(),
				NetNS:   rtnetlink.NetNSForFD(uint32(fd)),
			}},
		}}
		err := c.Link.New(&rtnetlink.LinkMessage{Flags: unix.IFF_UP, Change: unix.IFF_UP, Attributes: near})
		if err != nil {
			return fmt.Errorf("add veth %s to %s: %w", w.near, w.farName, err)
		}
		return nil
	})
}

func linkIndex(c *rtnetlink.Conn, name string) (uint32, error) {
	link, err := linkByName(c, name)
	return link.Index, err
}

func linkByName(c *rtnetlink.Conn, name string) (rtnetlink.LinkMessage, error) {
	links, err := c.Link.List()
	if err != nil {
		return rtnetlink.LinkMessage{}, fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		if l.Attributes != nil && l.Attributes.Name == name {
			return l, nil
		}
	}
	return rtnetlink.LinkMessage{}, fmt.Errorf("interface %s: not found among %d", name, len(links))
}

// setLinkFlags sets those interface flags of mask (unix.IFF_*) that are in
// flags and clears the others.
func setLinkFlags(c *rtnetlink.Conn, index, flags, mask uint32) error {
	err := c.Link.Set(&rtnetlink.LinkMessage{Index: index, Flags: flags, Change: mask})
	if err != nil {
		return fmt.Errorf("set flags %#x of %#x on interface %d: %w", flags, mask, index, err)
	}
	return nil
}

// waitLinkUp waits until the kernel's link watch has seen the carrier: only
// then does a bridge forward to the port and IPv6 start on the interface.
func waitLinkUp(ctx context.Context, c *rtnetlink.Conn, name string) error {
	return poll(ctx, func() (bool, error) {
		l, err := linkByName(c, name)
		if err != nil {
			return false, err
		}
		return l.Attributes.OperationalState == rtnetlink.OperStateUp, nil
	}, "interface "+name+" is up")
}

// poll asks until the answer is yes, an error, or ctx ends; what names the
// condition in the error.
func poll(ctx context.Context, ask func() (bool, error), what string) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ok, err := ask()
		if err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
