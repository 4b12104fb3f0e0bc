package lan_test

import (
	"net/netip"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/waittest"
)

// located is what Locate says in a namespace.
type located struct {
	mac    ether.MAC
	onLink bool
}

func (n *namespace) locate(who string) (l located) {
	n.tb.Helper()
	n.do(func() error {
		l.mac, l.onLink = lan.Locate(ip(who))
		return nil
	})
	return l
}

func TestLocate(t *testing.T) {
	porter, _ := neighbors(t)
	porter.setUp("lo", true)
	porter.route("porter0", netip.MustParsePrefix("203.0.113.0/24"), client4.String(), 0)
	porter.route("porter0", netip.MustParsePrefix("2001:db8:f::/48"), "2001:db8::2", 0)
	hosts := []string{client4.String(), "::ffff:" + client4.String(), "2001:db8::2", "fe80::2%porter0"}
	for _, who := range hosts {
		if got := porter.locate(who); got != (located{onLink: true}) {
			t.Errorf("%s is at %v before a packet was sent to it", who, got)
		}
	}
	for _, who := range hosts {
		call(porter, ip(who))
		waittest.Until(t, "an entry for "+who, func() bool { return porter.locate(who) == located{clientMAC, true} })
	}
	for who, want := range map[string]located{
		"203.0.113.7":      {},                             // behind a router whose MAC is known
		"2001:db8:f::7":    {},                             // likewise
		porter4.String():   {onLink: true},                 // our own
		"198.51.100.1":     {},                             // there is no way to it
		"fe80::2%nothing0": {},                             // likewise
		"127.0.0.9":        {onLink: true},                 // likewise
		"::1":              {onLink: true},                 // likewise
		sleepy4.String():   {onLink: true},                 // no packet was sent to it
		"2001:db8::dead":   {onLink: true},                 // likewise
		"fe80::2%porter0":  {mac: clientMAC, onLink: true}, // as before
	} {
		if got := porter.locate(who); got != want {
			t.Errorf("%s is at %v, want %v", who, got, want)
		}
	}
}

// An address that does not answer has an entry without a MAC.
func TestLocateWithoutAnAnswer(t *testing.T) {
	porter, _ := neighbors(t)
	call(porter, sleepy4)
	if got := porter.locate(sleepy4.String()); got != (located{onLink: true}) {
		t.Errorf("%v", got)
	}
}

func BenchmarkLocate(b *testing.B) {
	porter, _ := neighbors(b)
	call(porter, client4)
	porter.do(func() error {
		for b.Loop() {
			lan.Locate(client4)
		}
		return nil
	})
}
