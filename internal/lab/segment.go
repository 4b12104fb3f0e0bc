package lab

import (
	"context"
	"fmt"
	"net/netip"

	"nightporter/internal/ether"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/jsimonetti/rtnetlink/v2/driver"
	"golang.org/x/sys/unix"
)

// bridge returns the part of the switch that a segment has for itself, and makes
// it when it is first asked for. The LAN's own segment is 0.
func (l *LAN) bridge(segment uint16) (index uint32, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if index, ok := l.segments[segment]; ok {
		return index, nil
	}
	err = l.fabric.Netlink(func(c *rtnetlink.Conn) (err error) {
		index, err = addBridge(c, bridgeName(segment), bridgeMAC())
		return err
	})
	if err == nil {
		l.segments[segment] = index
	}
	return index, err
}

func bridgeName(segment uint16) string { return fmt.Sprintf("br%d", segment) }

// AddHostIn puts a host on another segment of the switch, from which nothing
// reaches the LAN: as a port that belongs to a VLAN.
func (l *LAN) AddHostIn(segment uint16, name string, addrs ...netip.Prefix) (*Host, error) {
	return l.addHost(name, ether.MAC{}, addrs, segment)
}

// AddLeg gives the host one more interface, on a segment of the switch, and
// returns its name.
func (l *LAN) AddLeg(h *Host, segment uint16, addrs ...netip.Prefix) (name string, err error) {
	name = fmt.Sprintf("eth%d", segment)
	mac := ether.MAC{0x02, 0x77, 0xfe, byte(segment >> 8), byte(segment), h.mac[5]}
	return name, l.connect(h, segment, name, addrs, func(c *rtnetlink.Conn, bridge uint32) error {
		return cable{near: fmt.Sprintf("%s-%d", h.port, segment), master: bridge, far: h.ns, farName: name, farMAC: mac}.lay(c)
	}, nil)
}

// AddVLAN gives the host a sub-interface whose frames have the tag of a segment
// (IEEE 802.1Q), and returns its name. Where the kernel has no VLANs the error is
// unix.EOPNOTSUPP.
func (l *LAN) AddVLAN(h *Host, segment uint16, addrs ...netip.Prefix) (name string, err error) {
	name = fmt.Sprintf("%s.%d", Interface, segment)
	return name, l.connect(h, segment, name, addrs, func(c *rtnetlink.Conn, bridge uint32) error {
		trunk := fmt.Sprintf("%s.%d", h.port, segment)
		if _, err := linkIndex(c, trunk); err == nil {
			return nil // the host had the sub-interface before
		}
		return addVLAN(c, h.port, trunk, segment, bridge)
	}, func(c *rtnetlink.Conn) error {
		return addVLAN(c, Interface, name, segment, 0)
	})
}

// connect makes both ends of an interface, the switch's and the host's, which
// may have come with the other, and configures it.
func (l *LAN) connect(h *Host, segment uint16, name string, addrs []netip.Prefix,
	near func(*rtnetlink.Conn, uint32) error, far func(*rtnetlink.Conn) error,
) error {
	ctx, cancel := context.WithTimeout(l.ctx, setupTimeout)
	defer cancel()
	bridge, err := l.bridge(segment)
	if err == nil {
		err = l.fabric.Netlink(func(c *rtnetlink.Conn) error { return near(c, bridge) })
	}
	if err == nil && far != nil {
		err = h.ns.Netlink(far)
	}
	if err == nil {
		err = h.ns.Netlink(func(c *rtnetlink.Conn) error { return bringUp(ctx, c, name, addrs) })
	}
	if err != nil {
		return fmt.Errorf("host %s: segment %d: %w", h.name, segment, err)
	}
	return nil
}

// bringUp configures a host's further interface.
func bringUp(ctx context.Context, c *rtnetlink.Conn, name string, addrs []netip.Prefix) error {
	index, err := linkIndex(c, name)
	if err != nil {
		return err
	}
	if err := setLinkFlags(c, index, unix.IFF_UP, unix.IFF_UP); err != nil {
		return err
	}
	if err := waitLinkUp(ctx, c, name); err != nil {
		return err
	}
	return configure(ctx, c, index, addrs, nil)
}

// addVLAN makes a sub-interface of parent, which may be a port of a bridge.
func addVLAN(c *rtnetlink.Conn, parent, name string, vlan uint16, bridge uint32) error {
	index, err := linkIndex(c, parent)
	if err != nil {
		return err
	}
	// The library has IFLA_LINK, the parent, under the name of Type.
	attributes := &rtnetlink.LinkAttributes{Name: name, Type: index,
		Info: &rtnetlink.LinkInfo{Kind: "vlan", Data: &driver.Vlan{ID: &vlan}}}
	if bridge != 0 {
		attributes.Master = &bridge
	}
	err = c.Link.New(&rtnetlink.LinkMessage{Flags: unix.IFF_UP, Change: unix.IFF_UP, Attributes: attributes})
	if err != nil {
		return fmt.Errorf("add %s to %s: %w", name, parent, err)
	}
	return nil
}
