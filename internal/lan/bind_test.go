package lan_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"

	"nightporter/internal/lan"
)

// ask runs a question about addresses inside the namespace.
func (n *namespace) ask(question func() ([]netip.Addr, error)) (found []netip.Addr) {
	n.tb.Helper()
	n.do(func() (err error) {
		found, err = question()
		return err
	})
	return found
}

func (n *namespace) bound(index int) []netip.Addr {
	n.tb.Helper()
	return n.ask(func() ([]netip.Addr, error) { return lan.BoundAddrs(index) })
}

// listed returns the entry of an address in the kernel's list.
func (n *namespace) listed(ip netip.Addr) (found rtnetlink.AddressMessage, ok bool) {
	n.tb.Helper()
	n.netlink(func(c *rtnetlink.Conn) error {
		all, err := c.Address.List()
		for _, m := range all {
			if a, _ := netip.AddrFromSlice(m.Attributes.Address); a == ip {
				found, ok = m, true
			}
		}
		return err
	})
	return found, ok
}

func TestBindAddr(t *testing.T) {
	porter, _ := neighbors(t)
	index := porter.index("porter0")
	network := func() (n lan.Network) {
		porter.do(func() (err error) {
			n, err = lan.ReadNetwork(index)
			return err
		})
		return n
	}
	hostAddrs := func() []netip.Addr { return porter.ask(lan.HostAddrs) }
	before, own := network(), hostAddrs()
	if want := []netip.Addr{porter4, ip("2001:db8::1"), porter6}; !slices.Equal(own, want) {
		t.Fatalf("the host has %v, want %v", own, want)
	}
	for range 2 { // again is no error
		porter.do(func() error { return lan.BindAddr(index, sleepy4, sleepy6) })
		if got, want := porter.bound(index), []netip.Addr{sleepy4, sleepy6}; !slices.Equal(got, want) {
			t.Errorf("bound are %v, want %v", got, want)
		}
	}
	if got := porter.bound(index + 1); got != nil {
		t.Errorf("bound to another interface are %v", got)
	}
	m, ok := porter.listed(sleepy4)
	if !ok || m.PrefixLength != 32 || m.Scope != unix.RT_SCOPE_HOST || m.Attributes.Label != "porter0:np" ||
		m.Attributes.Flags&unix.IFA_F_DEPRECATED == 0 {
		t.Errorf("the kernel has %+v %+v", m, m.Attributes)
	}
	m, ok = porter.listed(sleepy6)
	const flags = unix.IFA_F_NODAD | unix.IFA_F_DEPRECATED | unix.IFA_F_PERMANENT
	if !ok || m.PrefixLength != 128 || m.Attributes.Flags&(flags|unix.IFA_F_TENTATIVE) != flags || m.Attributes.CacheInfo.Preferred != 0 {
		t.Errorf("the kernel has %+v %+v", m, m.Attributes)
	}
	if diff := cmp.Diff(before, network(), compareAddr, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("the network, before and after:\n%s", diff)
	}
	if got := hostAddrs(); !slices.Equal(got, own) {
		t.Errorf("the host's own are %v, were %v", got, own)
	}
	for range 2 {
		porter.do(func() error { return lan.UnbindAddr(index, sleepy6, sleepy4) })
		if got := porter.bound(index); got != nil {
			t.Errorf("bound are %v", got)
		}
	}
}

// TestBindRefusesTheHostsOwn: on this interface and on others, and binds the
// rest.
func TestBindRefusesTheHostsOwn(t *testing.T) {
	porter, _ := neighbors(t)
	cable(porter, "spare0", sleepyMAC, porter, "spare1", clientMAC)
	porter.setUp("spare0", true)
	porter.address("spare0", "192.168.9.1/24", 0)
	porter.address("spare0", "fe80::77/64", noDAD) // another link's
	index := porter.index("porter0")
	var err error
	porter.do(func() error {
		err = lan.BindAddr(index, porter4, sleepy4, ip("192.168.9.1"), porter6, ip("fe80::77"), ip("::ffff:192.168.7.5"))
		return nil
	})
	for _, want := range []string{"bind 192.168.7.1 to porter0: ", "192.168.7.1/24 on interface", "bind 192.168.9.1 to ", "bind fe80::1 to "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if got, want := porter.bound(index), []netip.Addr{sleepy4, ip("192.168.7.5"), ip("fe80::77")}; !slices.Equal(got, want) {
		t.Errorf("bound are %v, want %v", got, want)
	}
	porter.do(func() error {
		if err := lan.BindAddr(4711, sleepy4); err == nil || !strings.Contains(err.Error(), "interface 4711: link: ") {
			t.Errorf("error %v for an interface that is not there", err)
		}
		return nil
	})
}

// TestUnbindTouchesNobodyElses, however much it looks like ours.
func TestUnbindTouchesNobodyElses(t *testing.T) {
	porter, _ := neighbors(t)
	index := porter.index("porter0")
	marked := func(prefix string, metric uint32) netip.Addr {
		p := netip.MustParsePrefix(prefix)
		porter.netlink(func(c *rtnetlink.Conn) error {
			return c.Address.New(&rtnetlink.AddressMessage{
				Family: family(p.Addr()), PrefixLength: uint8(p.Bits()), Index: uint32(index),
				Attributes: &rtnetlink.AddressAttributes{Address: p.Addr().AsSlice(), Local: p.Addr().AsSlice(), Flags: noDAD, Priority: metric},
			})
		})
		return p.Addr()
	}
	porter.do(func() error { return lan.BindAddr(index, sleepy4) })
	m, _ := porter.listed(sleepy4)
	mark := m.Attributes.Priority
	all := []netip.Addr{
		marked("192.168.7.9/32", 0), marked("192.168.7.10/32", mark+1), marked("192.168.7.11/24", mark),
		marked("fd00::9/128", 0), marked("fd00::10/128", mark+1), marked("fd00::11/64", mark),
	}
	porter.do(func() error { return lan.UnbindAddr(index, append(all, porter4, porter6, sleepy4)...) })
	if _, ok := porter.listed(sleepy4); ok {
		t.Errorf("%v is still there", sleepy4)
	}
	for _, ip := range append(all, porter4, porter6) {
		if _, ok := porter.listed(ip); !ok {
			t.Errorf("%v is gone", ip)
		}
	}
	for _, ip := range all {
		if !slices.Contains(porter.ask(lan.HostAddrs), ip) {
			t.Errorf("%v does not count as the host's own", ip)
		}
	}
}

// TestNothingSpeaksFromABoundAddress, not even where it would be nearest to the
// destination, or for IPv4 the only one.
func TestNothingSpeaksFromABoundAddress(t *testing.T) {
	porter, _ := neighbors(t)
	index := porter.index("porter0")
	porter.do(func() error { return lan.BindAddr(index, sleepy4, sleepy6) })
	source := func(to netip.Addr) (from netip.Addr) {
		porter.do(func() error {
			conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
			if err != nil {
				return err
			}
			from = conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
			return conn.Close()
		})
		return from
	}
	if got := source(sleepy6.Next()); got != ip("2001:db8::1") {
		t.Errorf("an IPv6 datagram would come from %v", got)
	}
	if got := source(sleepy4.Next()); got != porter4 {
		t.Errorf("an IPv4 datagram would come from %v", got)
	}
	m, _ := porter.listed(porter4)
	porter.netlink(func(c *rtnetlink.Conn) error { return c.Address.Delete(&m) })
	porter.route("porter0", netip.MustParsePrefix("192.168.7.0/24"), "", 0)
	if got := source(client4); got == sleepy4 {
		t.Errorf("an IPv4 datagram would come from %v", got)
	}
}

// BenchmarkBindAddr is what the claim of a machine costs where a thousand
// others are asleep.
func BenchmarkBindAddr(b *testing.B) {
	porter, _ := neighbors(b)
	index := porter.index("porter0")
	in := crowd(1024)
	porter.do(func() error { return lan.BindAddr(index, in.Addrs...) })
	porter.do(func() error {
		for b.Loop() {
			if err := lan.BindAddr(index, sleepy4, sleepy6); err != nil {
				return err
			}
			if err := lan.UnbindAddr(index, sleepy4, sleepy6); err != nil {
				return err
			}
		}
		return nil
	})
}
