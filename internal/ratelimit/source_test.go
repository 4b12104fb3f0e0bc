package ratelimit_test

import (
	"fmt"
	"net/netip"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/ratelimit"
)

func TestSourceOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7":               "192.0.2.7",
		"::ffff:192.0.2.7":        "192.0.2.7",
		"2001:db8:1:2:3:4:5:6":    "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::":     "2001:db8:1:2::/64",
		"2001:db8:1:3::":          "2001:db8:1:3::/64",
		"fe80::1:2:3%eth0":        "fe80::/64",
		"::ffff:192.0.2.7%eth0.5": "192.0.2.7",
		"127.0.0.1":               "127.0.0.0/8",
		"::ffff:127.9.9.9":        "127.0.0.0/8",
		"::1":                     "::1",
	} {
		if got := source(addr).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	if got := ratelimit.SourceOf(netip.Addr{}); got != (ratelimit.Source{}) {
		t.Errorf("no address: %v", got)
	}
}

var hostMAC = ether.MAC{2, 0, 0, 0, 0, 7}

// link is a link with the networks 192.0.2.0/24, 2001:db8::/64 and fe80::/64. The
// addresses whose last byte ends in 7 are those of one host, no other MAC is known.
func link(addr netip.Addr) (mac ether.MAC, onLink bool) {
	for _, p := range []string{"192.0.2.0/24", "2001:db8::/64", "fe80::/64"} {
		plain := addr.Unmap().WithZone("")
		if netip.MustParsePrefix(p).Contains(plain) {
			if b := plain.AsSlice(); b[len(b)-1]%10 == 7 {
				mac = hostMAC
			}
			return mac, true
		}
	}
	return ether.MAC{}, false
}

func TestLocateSource(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7":          "02:00:00:00:00:07",
		"::ffff:192.0.2.7":   "02:00:00:00:00:07",
		"2001:db8::1:7":      "02:00:00:00:00:07",
		"2001:db8::2:7":      "02:00:00:00:00:07",
		"fe80::7%eth0":       "02:00:00:00:00:07",
		"192.0.2.8":          "192.0.2.8",
		"2001:db8::8":        "2001:db8::8",
		"2001:db8::9":        "2001:db8::9",
		"fe80::8%eth0":       "fe80::8",
		"198.51.100.7":       "198.51.100.7",
		"2001:db8:1::7":      "2001:db8:1::/64",
		"2001:db8:1::8":      "2001:db8:1::/64",
		"127.0.0.7":          "127.0.0.0/8",
		"::ffff:127.0.0.8":   "127.0.0.0/8",
		"::1":                "::1",
		"::ffff:198.51.99.7": "198.51.99.7",
	} {
		got := ratelimit.Locate(link).Source(netip.MustParseAddr(addr))
		if got.String() != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
		if mac, ok := got.MAC(); ok != (mac == hostMAC) || ok != (want == hostMAC.String()) {
			t.Errorf("%s: the MAC %v, %v", addr, mac, ok)
		}
		if got, want := ratelimit.Locate(nil).Source(netip.MustParseAddr(addr)), source(addr); got != want {
			t.Errorf("%s without a link: %s, want %s", addr, got, want)
		}
	}
	if got := ratelimit.Locate(link).Source(netip.Addr{}); got != (ratelimit.Source{}) {
		t.Errorf("no address: %v", got)
	}
	if got := ratelimit.MACSource(hostMAC); got != ratelimit.Locate(link).Source(netip.MustParseAddr("192.0.2.7")) {
		t.Errorf("by its MAC the host is %v", got)
	}
}

// TestAttackNeighborsShareNoLimit: a host on the link uses many addresses of the network of its
// neighbors. It has one limit, and its neighbors have their own.
func TestAttackNeighborsShareNoLimit(t *testing.T) {
	for _, network := range []string{"192.0.2.1%d7", "2001:db8::%d:7", "fe80::%d:7%%eth0"} {
		l := ratelimit.New(ratelimit.PerMinute(60))
		granted := 0
		for i := range 10 {
			attacker := ratelimit.Locate(link).Source(netip.MustParseAddr(fmt.Sprintf(network, i)))
			granted += took(l, attacker, 20)
		}
		if granted > 31 { // a second may pass
			t.Errorf("%s: the host was granted %d, want 30", network, granted)
		}
		for _, neighbor := range []string{"192.0.2.8", "2001:db8::8", "fe80::8%eth0"} {
			if wait := l.Take(ratelimit.Locate(link).Source(netip.MustParseAddr(neighbor))); wait > 0 {
				t.Errorf("%s: %s has to wait %v", network, neighbor, wait)
			}
		}
	}
}
