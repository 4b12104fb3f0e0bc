package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// An ifAddr is an address as the kernel lists it, with its flags
// (unix.IFA_F_*).
type ifAddr struct {
	prefix netip.Prefix
	flags  uint32
}

// usable reports that duplicate address detection is over or was not requested.
func (a ifAddr) usable() bool {
	return a.flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0
}

// duplicate reports that duplicate address detection found another owner.
func (a ifAddr) duplicate() bool { return a.flags&unix.IFA_F_DADFAILED != 0 }

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// addAddr adds p to an interface; flags are unix.IFA_F_*.
func addAddr(c *rtnetlink.Conn, index uint32, p netip.Prefix, flags uint32) error {
	ip := net.IP(p.Addr().AsSlice())
	attrs := &rtnetlink.AddressAttributes{Address: ip, Local: ip, Flags: flags}
	if p.Addr().Is4() {
		attrs.Broadcast = broadcast(p)
	}
	err := c.Address.New(&rtnetlink.AddressMessage{
		Family: family(p.Addr()), PrefixLength: uint8(p.Bits()), Index: index, Attributes: attrs,
	})
	if err != nil {
		return fmt.Errorf("add address %s: %w", p, err)
	}
	return nil
}

func delAddr(c *rtnetlink.Conn, index uint32, p netip.Prefix) error {
	ip := net.IP(p.Addr().AsSlice())
	err := c.Address.Delete(&rtnetlink.AddressMessage{
		Family: family(p.Addr()), PrefixLength: uint8(p.Bits()), Index: index,
		Attributes: &rtnetlink.AddressAttributes{Address: ip, Local: ip},
	})
	if err != nil {
		return fmt.Errorf("remove address %s: %w", p, err)
	}
	return nil
}

// broadcast returns the directed broadcast address of an IPv4 prefix.
func broadcast(p netip.Prefix) net.IP {
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return b[:]
}

func listAddrs(c *rtnetlink.Conn, index uint32) ([]ifAddr, error) {
	msgs, err := c.Address.List()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var addrs []ifAddr
	for _, m := range msgs {
		if m.Index != index || m.Attributes == nil {
			continue
		}
		a, ok := netip.AddrFromSlice(m.Attributes.Address)
		if !ok {
			continue
		}
		p := netip.PrefixFrom(a.Unmap(), int(m.PrefixLength))
		addrs = append(addrs, ifAddr{prefix: p, flags: m.Attributes.Flags})
	}
	return addrs, nil
}

// localAddrs returns the addresses for which the kernel takes packets in. An
// IPv6 address is listed as usable a moment before it is: the entry in the
// local routing table comes later, from a work queue.
func localAddrs(c *rtnetlink.Conn) (map[netip.Addr]bool, error) {
	routes, err := c.Route.List()
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	local := make(map[netip.Addr]bool)
	for _, r := range routes {
		if a, ok := netip.AddrFromSlice(r.Attributes.Dst); ok && r.Type == unix.RTN_LOCAL {
			local[a.Unmap()] = true
		}
	}
	return local, nil
}

// addDefaultRoute sends everything that is not on the link to gateway.
func addDefaultRoute(c *rtnetlink.Conn, index uint32, gateway netip.Addr) error {
	return addRoute(c, index, netip.PrefixFrom(gateway, 0).Masked(), gateway)
}

// addRoute sends what is for a network to gateway.
func addRoute(c *rtnetlink.Conn, index uint32, to netip.Prefix, gateway netip.Addr) error {
	m := &rtnetlink.RouteMessage{
		Family: family(gateway), Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_STATIC,
		Scope: unix.RT_SCOPE_UNIVERSE, Type: unix.RTN_UNICAST, DstLength: uint8(to.Bits()),
		Attributes: rtnetlink.RouteAttributes{Gateway: gateway.AsSlice(), OutIface: index},
	}
	if to.Bits() > 0 {
		m.Attributes.Dst = to.Addr().AsSlice()
	}
	if err := c.Route.Replace(m); err != nil {
		return fmt.Errorf("add route to %s via %s: %w", to, gateway, err)
	}
	return nil
}

// waitAddrs waits until every address of want has passed duplicate address
// detection or failed it, and the link-local address too where want has an
// IPv6 address. It returns those that failed.
func waitAddrs(ctx context.Context, c *rtnetlink.Conn, index uint32, want []netip.Prefix) (failed []netip.Addr, err error) {
	needLinkLocal := slices.ContainsFunc(want, func(p netip.Prefix) bool { return p.Addr().Is6() })
	settled := func() (bool, error) {
		have, err := listAddrs(c, index)
		if err != nil {
			return false, err
		}
		local, err := localAddrs(c)
		if err != nil {
			return false, err
		}
		failed = failed[:0]
		found, linkLocal := 0, false
		for _, a := range have {
			if !a.duplicate() && (!a.usable() || !local[a.prefix.Addr()]) {
				return false, nil
			}
			if a.duplicate() {
				failed = append(failed, a.prefix.Addr())
			}
			if slices.Contains(want, a.prefix) {
				found++
			}
			linkLocal = linkLocal || a.prefix.Addr().Is6() && a.prefix.Addr().IsLinkLocalUnicast()
		}
		return found == len(want) && (linkLocal || !needLinkLocal), nil
	}
	err = poll(ctx, settled, fmt.Sprintf("addresses %v are usable", want))
	return failed, err
}
