package lan_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nightporter/internal/lan"
	"nightporter/internal/waittest"
)

func prefixList(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, s := range texts {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestNetworkQuestions(t *testing.T) {
	n := lan.Network{Prefixes: prefixList("192.168.7.1/24", "10.1.2.3/20", "10.9.9.9/31", "10.8.8.8/32", "fe80::1/64", "2001:db8::1/64")}
	for _, p := range n.Prefixes[:5] {
		n.OnLink = append(n.OnLink, p.Masked())
	}
	n.OnLink = append(n.OnLink, prefixList("2001:db8:0:2::/64")...)
	for _, c := range []struct {
		ip                       string
		own, contains, broadcast bool
	}{
		{"192.168.7.1", true, true, false},
		{"192.168.7.2", false, true, false},
		{"192.168.7.255", false, true, true},
		{"192.168.7.0", false, true, true},
		{"192.168.8.1", false, false, false},
		{"10.1.0.0", false, true, true},
		{"10.1.15.255", false, true, true},
		{"10.1.2.255", false, true, false},
		{"10.1.16.0", false, false, false},
		{"10.9.9.8", false, true, false},
		{"10.9.9.9", true, true, false},
		{"10.8.8.8", true, true, false},
		{"255.255.255.255", false, false, true},
		{"fe80::1", true, true, false},
		{"fe80:0:0:1::7", false, true, false},
		{"2001:db8::1", true, true, false},
		{"2001:db8::ffff:ffff:ffff:ffff", false, false, false},
		{"2001:db8:0:2:ffff:ffff:ffff:ffff", false, true, false},
		{"2001:db8:0:1::1", false, false, false},
		{"::ffff:192.168.7.1", false, false, false},
	} {
		if got := n.Own(ip(c.ip)); got != c.own {
			t.Errorf("Own(%s) is %v, want %v", c.ip, got, c.own)
		}
		if got := n.Contains(ip(c.ip)); got != c.contains {
			t.Errorf("Contains(%s) is %v, want %v", c.ip, got, c.contains)
		}
		if got := n.IsBroadcast(ip(c.ip)); got != c.broadcast {
			t.Errorf("IsBroadcast(%s) is %v, want %v", c.ip, got, c.broadcast)
		}
	}
	global := lan.Network{Prefixes: prefixList("169.254.1.1/16", "2001:db8::1/64")}
	if global.Contains(ip("fe80::7")) {
		t.Error("a link-local address is on a link where we have none")
	}
}

func TestSourceFor(t *testing.T) {
	all := prefixList("10.0.0.1/8", "192.168.7.1/24", "10.1.2.3/24", "2001:db8::1/64", "fd00::1/64", "fe80::1/64")
	noLinkLocal := prefixList("2001:db8::1/64", "fd00::1/64")
	for _, c := range []struct {
		name     string
		prefixes []netip.Prefix
		ip, want string
	}{
		{"same prefix", all, "192.168.7.9", "192.168.7.1"},
		{"longest prefix", all, "10.1.2.9", "10.1.2.3"},
		{"shorter prefix", all, "10.2.2.9", "10.0.0.1"},
		{"no prefix", all, "172.16.0.1", "10.0.0.1"},
		{"ipv6: link-local", all, "2001:db8::9", "fe80::1"},
		{"ipv6: same prefix", noLinkLocal, "fd00::9", "fd00::1"},
		{"ipv6: no prefix", noLinkLocal, "fe80::9", "2001:db8::1"},
		{"no address of the family", noLinkLocal, "10.0.0.1", ""},
		{"no address", nil, "fe80::1", ""},
	} {
		got, ok := lan.Network{Prefixes: c.prefixes}.SourceFor(ip(c.ip))
		if ok != (c.want != "") || ok && got != ip(c.want) {
			t.Errorf("%s: SourceFor(%s) is %v, %v, want %q", c.name, c.ip, got, ok, c.want)
		}
	}
}

func TestReadNetwork(t *testing.T) {
	porter, _ := neighbors(t)
	porter.address("porter0", "192.168.7.77/32", 0)
	porter.address("porter0", "2001:db8::7e57/64", 0) // tentative for a second
	porter.route("porter0", netip.MustParsePrefix("0.0.0.0/0"), "192.168.7.254", 100)
	porter.route("porter0", netip.MustParsePrefix("10.0.0.0/8"), "192.168.7.253", 0)
	porter.route("porter0", netip.MustParsePrefix("10.5.0.0/16"), "192.168.7.253", 0)
	porter.route("porter0", netip.MustParsePrefix("::/0"), "fe80::fe", 1024)
	i := porter.open("porter0")
	var got lan.Network
	porter.do(func() (err error) {
		got, err = lan.ReadNetwork(i.Index())
		return err
	})
	want := lan.Network{
		Name: "porter0", Index: i.Index(), MAC: porterMAC,
		Prefixes: prefixList("192.168.7.1/24", "192.168.7.77/32", "2001:db8::1/64", "fe80::1/64"),
		OnLink:   prefixList("192.168.7.0/24", "192.168.7.77/32", "2001:db8::/64", "fe80::/64"),
		Gateways: []netip.Addr{ip("192.168.7.253"), ip("192.168.7.254"), ip("fe80::fe")},
	}
	if diff := cmp.Diff(want, got, compareAddr, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("network (-want +got):\n%s", diff)
	}
	porter.do(func() error {
		if _, err := lan.ReadNetwork(4711); err == nil || !strings.Contains(err.Error(), "interface 4711: link: ") {
			t.Errorf("error %v for an interface that is not there", err)
		}
		return nil
	})
}

func TestDefaultInterface(t *testing.T) {
	n := newNamespace(t)
	want := func(name string) {
		t.Helper()
		n.do(func() error {
			got, err := lan.DefaultInterface()
			if got != name {
				t.Errorf("default interface %q, error %v, want %q", got, err, name)
			}
			return nil
		})
	}
	cable(n, "eth0", porterMAC, n, "eth1", clientMAC)
	for _, name := range []string{"lo", "eth0", "eth1"} {
		n.setUp(name, true)
	}
	n.address("eth0", "192.168.7.1/24", 0)
	n.address("eth1", "192.168.8.1/24", 0)
	n.address("eth1", "fe80::1/64", noDAD)
	n.do(func() error {
		_, err := lan.DefaultInterface()
		if !errors.Is(err, lan.ErrNoDefaultRoute) || !strings.Contains(err.Error(), "name it in interfaces (there are: eth0, eth1)") {
			t.Errorf("error %v without a default route", err)
		}
		return nil
	})
	any4, any6 := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")
	n.route("eth0", netip.MustParsePrefix("10.0.0.0/8"), "192.168.7.254", 0)
	n.route("eth1", any6, "fe80::fe", 1)
	want("eth1")
	n.route("eth0", any4, "192.168.7.254", 600)
	want("eth0") // IPv4 goes first
	n.route("eth1", any4, "192.168.8.254", 100)
	want("eth1") // the lower metric
}

func TestIsAnycast(t *testing.T) {
	n := lan.Network{
		Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.7.1/24"), netip.MustParsePrefix("fd00:1::1/112"), netip.MustParsePrefix("fd00:2::1/127")},
		OnLink:   []netip.Prefix{netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("fd00:3::/48")},
	}
	for text, want := range map[string]bool{
		"fd00::": true, "fd00::5": false, // the routers' of a network of 64 bits
		"fd00:1::": true, "fd00:1::5": false,
		"fd00:3::": true, "fd00:3::1:0:0:0:0": true, "fd00:3::1:0:0:0:1": false,
		"fd00:2::1":                 false,                                                                          // RFC 6164
		"fd00::fdff:ffff:ffff:ff80": true, "fe80::fdff:ffff:ffff:ffff": true, "2001:db8::fdff:ffff:ffff:fffe": true, // RFC 2526
		"fd00::fdff:ffff:ffff:ff7f": false, "fd00::feff:ffff:ffff:ff80": false, "fd00::ffff:ffff:ffff:ffff": false,
		"192.168.7.0": false, "192.168.7.255": false, "::ffff:192.168.7.0": false,
	} {
		if got := n.IsAnycast(ip(text)); got != want {
			t.Errorf("IsAnycast(%s) is %t, want %t", text, got, want)
		}
	}
}

// addRoute adds a route that the helper for plain ones cannot.
func (n *namespace) addRoute(name, dst string, table byte, more ...netlink.Attribute) {
	n.tb.Helper()
	p := netip.MustParsePrefix(dst)
	n.do(func() error {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		m := rtnetlink.RouteMessage{
			Family: family(p.Addr()), DstLength: uint8(p.Bits()), Table: table, Type: unix.RTN_UNICAST, Protocol: unix.RTPROT_STATIC,
			Attributes: rtnetlink.RouteAttributes{OutIface: uint32(ifi.Index), Dst: p.Addr().AsSlice()},
		}
		data, err := m.MarshalBinary()
		if err != nil {
			return err
		}
		extra, err := netlink.MarshalAttributes(more)
		if err != nil {
			return err
		}
		c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.RTM_NEWROUTE, Flags: netlink.Request | netlink.Create | netlink.Acknowledge},
			Data:   append(data, extra...),
		})
		return err
	})
}

var samePrefix = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

// TestOnLink: what the kernel reaches without a gateway is on the link, for
// whatever reason.
func TestOnLink(t *testing.T) {
	porter, _ := neighbors(t)
	want := prefixList("192.168.7.0/24", "2001:db8::/64", "fe80::/64")
	expect := func(what string, more ...string) {
		t.Helper()
		want = append(want, prefixList(more...)...)
		slices.SortFunc(want, netip.Prefix.Compare)
		if diff := cmp.Diff(want, porter.network("porter0").OnLink, samePrefix); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
	}
	route := func(dst, gateway string) { porter.route("porter0", netip.MustParsePrefix(dst), gateway, 1024) }

	expect("addresses with their routes")
	porter.address("porter0", "10.9.0.1/24", unix.IFA_F_NOPREFIXROUTE)
	porter.address("porter0", "fd09::1/64", noDAD|unix.IFA_F_NOPREFIXROUTE)
	expect("addresses that leave the routes to others")
	route("10.9.0.0/24", "")
	route("fd09::/64", "")
	expect("and the routes", "10.9.0.0/24", "fd09::/64")
	porter.address("porter0", "10.10.0.1/32", 0)
	porter.address("porter0", "fd0a::1/128", noDAD)
	expect("addresses that are alone", "10.10.0.1/32")
	route("10.11.0.0/16", "")
	route("fd0b::/64", "")
	route("192.0.2.7/32", "")
	route("fd0c::7/128", "")
	expect("routes without addresses", "10.11.0.0/16", "fd0b::/64", "192.0.2.7/32", "fd0c::7/128")
	porter.addRoute("porter0", "10.12.0.0/16", 100)
	porter.addRoute("porter0", "fd0d::/64", 100)
	expect("in another table", "10.12.0.0/16", "fd0d::/64")

	route("0.0.0.0/0", "")
	route("0.0.0.0/1", "")
	route("128.0.0.0/1", "")
	route("::/0", "")
	route("2000::/3", "")
	expect("a default route, in one piece or in several")
	route("10.13.0.0/16", "192.168.7.254")
	route("fd0e::/64", "fe80::fe")
	via := append([]byte{unix.AF_INET6, 0}, ip("fe80::fe").AsSlice()...)
	porter.addRoute("porter0", "10.14.0.0/16", unix.RT_TABLE_MAIN, netlink.Attribute{Type: unix.RTA_VIA, Data: via})
	hops := append(hopBy(porter.index("porter0"), "fe80::fc"), hopBy(porter.index("porter0"), "fe80::fd")...)
	porter.addRoute("porter0", "10.15.0.0/16", unix.RT_TABLE_MAIN, netlink.Attribute{Type: unix.RTA_MULTIPATH, Data: hops})
	expect("by a gateway")
	gateways := porter.network("porter0").Gateways
	for _, gateway := range []string{"fe80::fe", "fe80::fd", "fe80::fc", "192.168.7.254"} {
		if !slices.Contains(gateways, ip(gateway)) {
			t.Errorf("the gateways are %v, without %s", gateways, gateway)
		}
	}
	route("224.0.0.0/4", "")
	expect("multicast")

	n := porter.network("porter0")
	for text, source := range map[string]string{
		"192.168.7.9": "192.168.7.1", "10.9.0.9": "10.9.0.1", "10.10.0.1": "10.10.0.1", "10.11.1.1": "10.10.0.1", "192.0.2.7": "10.10.0.1",
		"fd09::9": "fe80::1", "fd0b::9": "fe80::1", "fd0c::7": "fe80::1", "fd0d::9": "fe80::1", "fd0a::1": "fe80::1",
	} {
		from, ok := n.SourceFor(ip(text))
		if !n.Contains(ip(text)) || !ok || from.Is4() && !n.Own(from) || from.Is6() && from != ip(source) {
			t.Errorf("%s: on the link: %t, asked from %v, want %s", text, n.Contains(ip(text)), from, source)
		}
	}
	for _, text := range []string{"10.10.0.2", "10.13.0.1", "10.14.0.1", "192.0.2.8", "8.8.8.8", "224.0.0.1", "fd0a::2", "fd0e::1", "2001:db9::1"} {
		if n.Contains(ip(text)) {
			t.Errorf("%s is on the link", text)
		}
	}
}

// hopBy is one of several ways of a route, by a gateway of the other family.
func hopBy(index int, gateway string) []byte {
	via := append(binary.NativeEndian.AppendUint16(nil, unix.AF_INET6), ip(gateway).AsSlice()...)
	attribute := binary.NativeEndian.AppendUint16(nil, uint16(4+len(via)))
	attribute = append(binary.NativeEndian.AppendUint16(attribute, unix.RTA_VIA), via...)
	attribute = append(attribute, 0, 0)
	hop := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtNexthop+len(attribute)))
	hop = binary.NativeEndian.AppendUint32(append(hop, 0, 0), uint32(index))
	return append(hop, attribute...)
}

// advertise sends a router advertisement for a prefix from the client.
func advertise(t *testing.T, from *lan.Interface, prefix string, onLink, autonomous bool) {
	t.Helper()
	p := netip.MustParsePrefix(prefix)
	m := &ndp.RouterAdvertisement{Options: []ndp.Option{&ndp.PrefixInformation{
		PrefixLength: uint8(p.Bits()), OnLink: onLink, AutonomousAddressConfiguration: autonomous,
		ValidLifetime: time.Hour, PreferredLifetime: time.Hour, Prefix: p.Addr(),
	}}}
	all := ip("ff02::1")
	b, err := ndp.MarshalMessageChecksum(m, client6, all)
	if err != nil {
		t.Fatal(err)
	}
	frame := dst([6]byte{0x33, 0x33, 0, 0, 0, 1}, ethernetFrame(0x86dd, packet6(client6, all, 58, 255, b)...))
	if err := from.Send(frame); err != nil {
		t.Fatal(err)
	}
}

// TestRouterAdvertisements: a prefix that a router says is on the link is so
// without an address of ours in it, as on a host that forwards; an address from
// one that is not on the link makes it none (RFC 5942 section 4).
func TestRouterAdvertisements(t *testing.T) {
	porter, client := neighbors(t)
	conf := func(name, value string) {
		t.Helper()
		porter.do(func() error {
			return os.WriteFile("/proc/sys/net/ipv6/conf/porter0/"+name, []byte(value), 0)
		})
	}
	router := client.open("client0")
	conf("accept_ra", "2")
	conf("dad_transmits", "0")
	conf("forwarding", "1")
	conf("autoconf", "0")
	advertise(t, router, "fd77::/64", true, true)
	waittest.Until(t, "the prefix is on the link", func() bool { return porter.network("porter0").Contains(ip("fd77::20")) })
	if n := porter.network("porter0"); slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Contains(ip("fd77::20")) }) {
		t.Errorf("we have an address in it: %v", n.Prefixes)
	}
	conf("autoconf", "1")
	conf("addr_gen_mode", "0")
	advertise(t, router, "fd78::/64", false, true)
	var n lan.Network
	waittest.Until(t, "an address of our own", func() bool {
		n = porter.network("porter0")
		return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Contains(ip("fd78::20")) })
	})
	if n.Contains(ip("fd78::20")) {
		t.Errorf("a prefix is on the link against the router's word: %v", n.OnLink)
	}
}

// TestMayContain: where only the machine's own answer can tell, it may.
func TestMayContain(t *testing.T) {
	n := lan.Network{Prefixes: prefixList("192.168.7.1/24", "fe80::1/64"), OnLink: prefixList("192.168.7.0/24", "fe80::/64")}
	for text, want := range map[string]bool{"192.168.7.9": true, "192.168.8.9": false, "fe80::9": true, "2001:db8::9": true, "ff02::1": false, "::1": false, "::": false} {
		if got := n.MayContain(ip(text)); got != want {
			t.Errorf("%s may be on the link: %t, want %t", text, got, want)
		}
	}
	n.Prefixes = prefixList("192.168.7.1/24", "2001:db9::1/64")
	if n.MayContain(ip("2001:db8::9")) {
		t.Error("without a link-local address of ours any address may be on the link")
	}
}
