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

// boundMetric marks the addresses that BindAddr adds, also those of an earlier run that
// crashed. It is the metric of the prefix route of an address (IFA_RT_PRIORITY, Linux
// 4.18). A host prefix has no such route, so the metric has no effect. The protocol of an
// address (IFA_PROTO) is meant for this, but needs Linux 5.18.
const boundMetric = 0x6e703137

// forever is INFINITY_LIFE_TIME of net/addrconf.h of the kernel.
const forever = math.MaxUint32

// BindAddr adds addresses to the interface index, each with the host prefix length and
// the mark boundMetric. The kernel does not choose them as a source: IPv6 addresses are
// deprecated (RFC 4862 section 5.5.4), and IPv4 addresses, for which Linux ignores that,
// have the scope "host". An IPv6 address is usable at once, without duplicate address
// detection, which its owner could answer. An address that is bound already is no error.
// An address that the host has for itself, on any interface, is an error. The others are
// bound in spite of it.
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
			failed = errors.Join(failed, fmt.Errorf("bind %v to %s: the host itself has it as %v/%d on interface %d: expected an address of another host",
				ip, link.Name, ip, m.PrefixLength, m.Index))
			continue
		}
		if _, ok := ours[ip]; ok {
			continue
		}
		err := c.change(unix.RTM_NEWADDR, netlink.Create|netlink.Excl, bound(index, link.Name, ip))
		if err != nil && !errors.Is(err, unix.EEXIST) { // another process did it first
			failed = errors.Join(failed, fmt.Errorf("bind %v to %s: %w", ip, link.Name, err))
		}
		if c.broken != nil {
			return failed
		}
	}
	return failed
}

// obstacles returns the addresses that are bound to the interface index already, and
// those that the host has for itself. A link-local address belongs to a different host on
// each interface.
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

// UnbindAddr removes addresses from the interface index that BindAddr added. It does not
// touch other addresses, and a missing one is no error. The others are removed in spite
// of an error.
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
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) { // another process did it first
			failed = errors.Join(failed, fmt.Errorf("unbind %v from interface %d: %w", ip, index, err))
		}
		if c.broken != nil {
			return failed
		}
	}
	return failed
}

// BoundAddrs returns the addresses that BindAddr added to the interface index, in this
// run of the program or another, sorted.
func BoundAddrs(index int) ([]netip.Addr, error) {
	return allAddrs(func(m rtnetlink.AddressMessage) bool { return int(m.Index) == index && isBound(m) })
}

// HostAddrs returns the addresses of the host on all interfaces, also tentative ones,
// without those of BindAddr. They are sorted and without duplicates.
func HostAddrs() ([]netip.Addr, error) {
	return allAddrs(func(m rtnetlink.AddressMessage) bool { return !isBound(m) })
}

// bound returns the request to add one address.
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

// lifetimeMessage is an AddressMessage with lifetimes in seconds, which rtnetlink cannot
// write.
type lifetimeMessage struct {
	*rtnetlink.AddressMessage
	preferred, valid uint32
}

// MarshalBinary appends a struct ifa_cacheinfo. The kernel sets the times of creation and
// change in it.
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

// isBound reports whether BindAddr added an address.
func isBound(m rtnetlink.AddressMessage) bool {
	ip, ok := localAddr(m)
	return ok && m.Attributes.Priority == boundMetric && int(m.PrefixLength) == ip.BitLen()
}

// localAddr returns the address of the host. An address of a point-to-point link has that
// of the peer too.
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

// allAddrs reads the addresses of all interfaces from the kernel and returns those that
// are wanted.
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
