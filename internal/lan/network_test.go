package lan_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lan"
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
	if diff := cmp.Diff(want, got, comparable, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
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
