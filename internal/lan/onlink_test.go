package lan_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"slices"
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
// one that is not on the link makes it none (RFC 5942, section 4).
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
