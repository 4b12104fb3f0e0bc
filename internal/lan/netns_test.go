package lan_test

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/netns"
	"nightporter/internal/waittest"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/jsimonetti/rtnetlink/v2/driver"
	"golang.org/x/sys/unix"

	"nightporter/internal/lan"
)

// patience is how long a test waits for something that should come at once.
const patience = 10 * time.Second

// namespace is a network namespace that ends with its test.
type namespace struct {
	*netns.Namespace
	tb testing.TB
}

// newNamespace makes a namespace. Without the privilege the test is skipped; in CI it
// fails, because a skip there hides that nothing was tested.
func newNamespace(tb testing.TB) *namespace {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs a network namespace: not with -short")
	}
	made, err := netns.New()
	switch {
	case errors.Is(err, unix.EPERM) && os.Getenv("CI") != "true":
		tb.Skipf("needs root for a network namespace: %v", err)
	case err != nil:
		tb.Fatal(err)
	}
	n := &namespace{Namespace: made, tb: tb}
	tb.Cleanup(func() {
		if err := n.Close(); err != nil {
			tb.Errorf("close the namespace: %v", err)
		}
	})
	// The kernel makes no link-local addresses: the tests set theirs, and duplicate address
	// detection takes seconds.
	n.do(func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/default/addr_gen_mode", []byte("1"), 0) })
	return n
}

// do runs f inside the namespace. An error ends the test.
func (n *namespace) do(f func() error) {
	n.tb.Helper()
	if err := n.Do(f); err != nil {
		n.tb.Fatal(err)
	}
}

// netlink runs f with a connection inside the namespace. An error ends the test.
func (n *namespace) netlink(f func(*rtnetlink.Conn) error) {
	n.tb.Helper()
	if err := n.Netlink(f); err != nil {
		n.tb.Fatal(err)
	}
}

// cable connects a and b by a pair of interfaces, a0 and b0, which are down.
func cable(a *namespace, a0 string, aMAC ether.MAC, b *namespace, b0 string, bMAC ether.MAC) {
	a.tb.Helper()
	err := b.WithFD(func(fd int) error {
		peer := rtnetlink.LinkMessage{Attributes: &rtnetlink.LinkAttributes{
			Name: b0, Address: bMAC.HardwareAddr(), NetNS: rtnetlink.NetNSForFD(uint32(fd)),
		}}
		return a.Netlink(func(c *rtnetlink.Conn) error {
			return c.Link.New(&rtnetlink.LinkMessage{Attributes: &rtnetlink.LinkAttributes{
				Name: a0, Address: aMAC.HardwareAddr(),
				Info: &rtnetlink.LinkInfo{Kind: "veth", Data: &driver.Veth{PeerInfo: &peer}},
			}})
		})
	})
	if err != nil {
		a.tb.Fatal(err)
	}
}

// setUp brings an interface up, or down.
func (n *namespace) setUp(name string, up bool) {
	n.tb.Helper()
	n.netlink(func(c *rtnetlink.Conn) error {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		m := rtnetlink.LinkMessage{Index: uint32(ifi.Index), Change: unix.IFF_UP}
		if up {
			m.Flags = unix.IFF_UP
		}
		return c.Link.Set(&m)
	})
}

// address gives an interface an address, without detection of duplicates unless
// flags say otherwise.
func (n *namespace) address(name string, prefix string, flags uint32) {
	n.tb.Helper()
	p := netip.MustParsePrefix(prefix)
	n.netlink(func(c *rtnetlink.Conn) error {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		return c.Address.New(&rtnetlink.AddressMessage{
			Family: family(p.Addr()), PrefixLength: uint8(p.Bits()), Index: uint32(ifi.Index),
			Attributes: &rtnetlink.AddressAttributes{Address: p.Addr().AsSlice(), Local: p.Addr().AsSlice(), Flags: flags},
		})
	})
}

// route adds a route to dst.
func (n *namespace) route(name string, dst netip.Prefix, gateway string, metric uint32) {
	n.tb.Helper()
	n.netlink(func(c *rtnetlink.Conn) error {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		m := rtnetlink.RouteMessage{
			Family: family(dst.Addr()), DstLength: uint8(dst.Bits()),
			Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST, Protocol: unix.RTPROT_STATIC,
			Attributes: rtnetlink.RouteAttributes{OutIface: uint32(ifi.Index), Priority: metric},
		}
		if dst.Bits() > 0 {
			m.Attributes.Dst = dst.Addr().AsSlice()
		}
		if gateway != "" {
			m.Attributes.Gateway = netip.MustParseAddr(gateway).AsSlice()
		}
		return c.Route.Add(&m)
	})
}

func family(ip netip.Addr) uint8 {
	if ip.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// open opens an interface of the namespace until the test ends.
func (n *namespace) open(name string) *lan.Interface {
	n.tb.Helper()
	return n.openWith(name, nil)
}

func (n *namespace) openWith(name string, log *slog.Logger) *lan.Interface {
	n.tb.Helper()
	var i *lan.Interface
	n.do(func() (err error) {
		i, err = lan.Open(name, log)
		return err
	})
	n.tb.Cleanup(func() { _ = i.Close() }) // some tests close it themselves
	return i
}

const noDAD = unix.IFA_F_NODAD

// neighbors is a porter and a client on one cable, with the addresses of the cast.
func neighbors(tb testing.TB) (porter, client *namespace) {
	tb.Helper()
	porter, client = newNamespace(tb), newNamespace(tb)
	cable(porter, "porter0", porterMAC, client, "client0", clientMAC)
	porter.setUp("porter0", true)
	client.setUp("client0", true)
	porter.address("porter0", "192.168.7.1/24", 0)
	porter.address("porter0", "fe80::1/64", noDAD)
	porter.address("porter0", "2001:db8::1/64", noDAD)
	client.address("client0", "192.168.7.2/24", 0)
	client.address("client0", "fe80::2/64", noDAD)
	client.address("client0", "2001:db8::2/64", noDAD)
	porter.ready("porter0")
	client.ready("client0")
	return porter, client
}

// ready waits until the three addresses of an interface can be used, and until it
// is running: the kernel learns of the carrier a little later than the cable is
// there, keeps IPv6 addresses tentative until then, and drops what is sent. It
// answers for an address, and takes packets to it, from when there is a route to
// itself for it, which a busy kernel makes later.
func (n *namespace) ready(name string) {
	n.tb.Helper()
	waittest.Until(n.tb, "the addresses of "+name, func() bool {
		count := 0
		local := n.localAddrs()
		for _, p := range n.network(name).Prefixes {
			if local[p.Addr()] {
				count++
			}
		}
		return count == 3 && n.running(name)
	})
}

// localAddrs returns the addresses that the kernel of the namespace takes for its
// own.
func (n *namespace) localAddrs() map[netip.Addr]bool {
	n.tb.Helper()
	local := make(map[netip.Addr]bool)
	n.netlink(func(c *rtnetlink.Conn) error {
		routes, err := c.Route.List()
		for _, r := range routes {
			if ip, ok := netip.AddrFromSlice(r.Attributes.Dst); ok && r.Type == unix.RTN_LOCAL {
				local[ip] = true
			}
		}
		return err
	})
	return local
}

// network returns what the kernel says of an interface of the namespace.
func (n *namespace) network(name string) (network lan.Network) {
	n.tb.Helper()
	n.do(func() error {
		ifi, err := net.InterfaceByName(name)
		if err == nil {
			network, err = lan.ReadNetwork(ifi.Index)
		}
		return err
	})
	return network
}

// running reports whether the kernel has noticed that the interface has a carrier.
func (n *namespace) running(name string) (yes bool) {
	n.tb.Helper()
	n.do(func() error {
		ifi, err := net.InterfaceByName(name)
		if err == nil {
			yes = ifi.Flags&net.FlagRunning != 0
		}
		return err
	})
	return yes
}
