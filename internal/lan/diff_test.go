package lan_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lan"
)

func TestDiff(t *testing.T) {
	opened := lan.Status{Index: 2, MAC: porterMAC, MTU: 1500}
	fine := opened
	fine.Up, fine.Carrier = true, true
	change := func(f func(*lan.Status)) lan.Status { s := fine; f(&s); return s }
	old := []netip.Prefix{netip.MustParsePrefix("10.77.0.2/24")}
	leased := []netip.Prefix{netip.MustParsePrefix("10.77.0.3/24")}
	for _, c := range []struct {
		name   string
		is     lan.Status
		addrs  []netip.Prefix
		closed bool
		news   lan.Change
		wasOut bool
		want   lan.Update
	}{
		{name: "nothing that matters", is: fine, addrs: old},
		{name: "gone", addrs: old, want: lan.Update{Fault: "is gone"}},
		{name: "gone for long", closed: true, wasOut: true, want: lan.Update{Fault: "is gone"}},
		{name: "down", is: change(func(s *lan.Status) { s.Up, s.Carrier = false, false }), addrs: old, want: lan.Update{Fault: "is down"}},
		{name: "no carrier", is: change(func(s *lan.Status) { s.Carrier = false }), addrs: old, want: lan.Update{Fault: "has no carrier"}},
		{name: "no carrier and no address", is: change(func(s *lan.Status) { s.Carrier = false }), want: lan.Update{Fault: "has no carrier"}},
		{name: "no address", is: fine, news: lan.Change{AddrLost: true}, want: lan.Update{Fault: "has no IP address"}},
		{name: "back", is: fine, addrs: old, wasOut: true, want: lan.Update{Restore: true, Announce: true}},
		{name: "away for a moment", is: fine, addrs: old, news: lan.Change{LinkLost: true}, want: lan.Update{Restore: true, Announce: true}},
		{name: "an address away for a moment", is: fine, addrs: old, news: lan.Change{AddrLost: true}, want: lan.Update{Restore: true}},
		{name: "another address", is: fine, addrs: leased, want: lan.Update{Readdress: true, Restore: true}},
		{
			name: "made anew", is: change(func(s *lan.Status) { s.Index = 7 }), addrs: old, wasOut: true,
			want: lan.Update{Reopen: true, Restore: true, Announce: true},
		},
		{
			name: "made anew, and not ready", is: change(func(s *lan.Status) { s.Index, s.Up, s.Carrier = 7, false, false }), wasOut: true,
			want: lan.Update{Fault: "is down"},
		},
		{
			name: "another MAC", is: change(func(s *lan.Status) { s.MAC = sleepyMAC }), addrs: old,
			want: lan.Update{Reopen: true, Restore: true, Announce: true},
		},
		{
			name: "another MTU", is: change(func(s *lan.Status) { s.MTU = 9000 }), addrs: old,
			want: lan.Update{Reopen: true, Restore: true, Announce: true},
		},
		{name: "closed for an error", is: fine, addrs: old, closed: true, want: lan.Update{Reopen: true, Restore: true, Announce: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := opened
			if c.closed {
				was = lan.Status{}
			}
			got := lan.Diff(lan.Observation{Status: c.is, Network: lan.Network{Prefixes: c.addrs}}, was, lan.Network{Prefixes: old}, c.news, c.wasOut)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("course (-want +got):\n%s", diff)
			}
		})
	}
}
