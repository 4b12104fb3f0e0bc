package lan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// boundMetric marks the addresses that we add, so that those of a run that
// crashed can be told from everybody else's. It is the metric of an address's
// prefix route (IFA_RT_PRIORITY, Linux 4.18), and a host prefix has none that
// it could change. The protocol of an address (IFA_PROTO) would say it better,
// but needs Linux 5.18.
const boundMetric = 0x6e703137

// forever is INFINITY_LIFE_TIME of the kernel's net/addrconf.h.
const forever = math.MaxUint32

// BindAddr gives addresses to the interface index, each with its host prefix
// length and our mark, and in a way that nothing chooses them as a source: they
// are deprecated (RFC 4862 section 5.5.4), which IPv4 does not look at, so that
// there the scope is "host". An IPv6 address is usable at once, without
// duplicate address detection: nobody may be asked who could answer. One that
// is bound already is no error; one that the host has for its own, on any
// interface, is. An error with one does not stop the others.
func BindAddr(index int, ips ...netip.Addr) error {
	return withNetlink(func(c *rtnl) error { return c.bind(index, ips) })
}

func (c *rtnl) bind(index int, ips []netip.Addr) error {
	have, err := c.addresses()
	if err != nil {
		return err
	}
	link, _, err := c.link(index, "")
	if err != nil {
		return fmt.Errorf("interface %d: %w", index, err)
	}
	ours, others := obstacles(have, index)
	var failed error
	for _, ip := range ips {
		ip = plain(ip)
		if m, ok := others[ip]; ok {
			failed = errors.Join(failed, fmt.Errorf("bind %v to %s: the host has it for its own, as %v/%d on interface %d: expected an address of another host",
				ip, link.Name, ip, m.PrefixLength, m.Index))
			continue
		}
		if _, ok := ours[ip]; ok {
			continue
		}
		err := c.change(unix.RTM_NEWADDR, netlink.Create|netlink.Excl, bound(index, link.Name, ip))
		if err != nil && !errors.Is(err, unix.EEXIST) { // somebody was faster
			failed = errors.Join(failed, fmt.Errorf("bind %v to %s: %w", ip, link.Name, err))
		}
		if c.broken != nil {
			return failed
		}
	}
	return failed
}

// obstacles sorts out what keeps an address from being bound to the interface
// index: it is bound there, or it is the host's own. A link-local address means
// another host on each interface.
func obstacles(have []rtnetlink.AddressMessage, index int) (ours, others map[netip.Addr]rtnetlink.AddressMessage) {
	ours, others = make(map[netip.Addr]rtnetlink.AddressMessage), make(map[netip.Addr]rtnetlink.AddressMessage)
	for _, m := range have {
		ip, ok := localAddr(m)
		switch here := int(m.Index) == index; {
		case !ok:
		case here && isBound(m):
			ours[ip] = m
		case !isBound(m) && (here || !ip.IsLinkLocalUnicast()):
			others[ip] = m
		}
	}
	return ours, others
}

// UnbindAddr takes addresses from the interface index that BindAddr gave it.
// Others are left alone, and one that is gone already is no error. An error with
// one does not stop the others.
func UnbindAddr(index int, ips ...netip.Addr) error {
	return withNetlink(func(c *rtnl) error { return c.unbind(index, ips) })
}

func (c *rtnl) unbind(index int, ips []netip.Addr) error {
	have, err := c.addresses()
	if err != nil {
		return err
	}
	ours, _ := obstacles(have, index)
	var failed error
	for _, ip := range ips {
		m, ok := ours[plain(ip)]
		if !ok {
			continue
		}
		err := c.change(unix.RTM_DELADDR, 0, &m)
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) { // somebody was faster
			failed = errors.Join(failed, fmt.Errorf("unbind %v from interface %d: %w", ip, index, err))
		}
		if c.broken != nil {
			return failed
		}
	}
	return failed
}

// BoundAddrs returns the addresses that BindAddr gave to the interface index, in
// this run of the program or another, sorted.
func BoundAddrs(index int) ([]netip.Addr, error) {
	return allAddrs(func(m rtnetlink.AddressMessage) bool { return int(m.Index) == index && isBound(m) })
}

// HostAddrs returns the host's own addresses on all interfaces, those still
// tentative included, sorted, each once: all but those of BindAddr.
func HostAddrs() ([]netip.Addr, error) {
	return allAddrs(func(m rtnetlink.AddressMessage) bool { return !isBound(m) })
}

// bound is the request for one address.
func bound(index int, name string, ip netip.Addr) *lifetimeMessage {
	m := &rtnetlink.AddressMessage{
		Family: family(ip), PrefixLength: uint8(ip.BitLen()), Index: uint32(index),
		Attributes: &rtnetlink.AddressAttributes{Address: ip.AsSlice(), Local: ip.AsSlice(), Priority: boundMetric},
	}
	if ip.Is4() {
		m.Scope = unix.RT_SCOPE_HOST
		if label := name + ":np"; len(label) < unix.IFNAMSIZ {
			m.Attributes.Label = label // what ip(8) and ifconfig(8) show
		}
	} else {
		m.Attributes.Flags = unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE
	}
	return &lifetimeMessage{AddressMessage: m, preferred: 0, valid: forever}
}

// lifetimeMessage is an AddressMessage that carries the lifetimes too, in
// seconds. rtnetlink only reads them.
type lifetimeMessage struct {
	*rtnetlink.AddressMessage
	preferred, valid uint32
}

// MarshalBinary appends struct ifa_cacheinfo; the times of creation and change
// in it are the kernel's to say.
func (m *lifetimeMessage) MarshalBinary() ([]byte, error) {
	b, err := m.AddressMessage.MarshalBinary()
	if err != nil {
		return nil, err
	}
	info := make([]byte, 16)
	binary.NativeEndian.PutUint32(info, m.preferred)
	binary.NativeEndian.PutUint32(info[4:], m.valid)
	attr, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.IFA_CACHEINFO, Data: info}})
	return append(b, attr...), err
}

// isBound reports whether an address is one of BindAddr's.
func isBound(m rtnetlink.AddressMessage) bool {
	ip, ok := localAddr(m)
	return ok && m.Attributes.Priority == boundMetric && int(m.PrefixLength) == ip.BitLen()
}

// localAddr returns the host's address. On a point-to-point link there is the
// peer's as well.
func localAddr(m rtnetlink.AddressMessage) (netip.Addr, bool) {
	if m.Attributes == nil {
		return netip.Addr{}, false
	}
	ip := m.Attributes.Local
	if ip == nil {
		ip = m.Attributes.Address
	}
	return netip.AddrFromSlice(ip)
}

func addrsOf(messages []rtnetlink.AddressMessage, wanted func(rtnetlink.AddressMessage) bool) []netip.Addr {
	var found []netip.Addr
	for _, m := range messages {
		if ip, ok := localAddr(m); ok && wanted(m) {
			found = append(found, ip)
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found)
}

// allAddrs asks the kernel for the addresses of all interfaces, and returns those
// that are wanted.
func allAddrs(wanted func(rtnetlink.AddressMessage) bool) (found []netip.Addr, err error) {
	err = withNetlink(func(c *rtnl) error {
		have, err := c.addresses()
		found = addrsOf(have, wanted)
		return err
	})
	return found, err
}

func family(ip netip.Addr) uint8 {
	if ip.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
