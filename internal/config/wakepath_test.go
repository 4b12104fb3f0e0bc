package config_test

import (
	"net/netip"
	"strings"
	"testing"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/machine"
)

// Each way to wake a machine, and how it is printed.
func TestWakePaths(t *testing.T) {
	own := ether.MAC{2, 0, 0, 0, 0, 1}
	for _, tt := range []struct {
		given, printed string // printed is as given where it is empty
		card           ether.MAC
		path           machine.WakePath
	}{
		{given: "wake_mac: 02:00:00:00:00:09", printed: `wake_mac: "02:00:00:00:00:09"`, card: ether.MAC{2, 0, 0, 0, 0, 9}},
		{given: "wake_mac: 02-00-00-00-00-01", printed: "-"}, // it says what is so anyway
		{given: "wake_interface: eth1", path: machine.WakePath{Interface: "eth1"}},
		{given: "wake_transports: [udp]", path: machine.WakePath{Transports: []string{"udp"}}},
		{given: "wake_to: 192.0.2.255", printed: `wake_to: "192.0.2.255:9"`, path: machine.WakePath{To: netip.MustParseAddrPort("192.0.2.255:9")}},
		{given: "wake_to: 192.0.2.255:7", printed: `wake_to: "192.0.2.255:7"`, path: machine.WakePath{To: netip.MustParseAddrPort("192.0.2.255:7")}},
		{given: "wake_to: '2001:db8::9'", printed: `wake_to: "[2001:db8::9]:9"`, path: machine.WakePath{To: netip.MustParseAddrPort("[2001:db8::9]:9")}},
		{
			given: "wake_transports: [], wake_to: 192.0.2.255:9", printed: `wake_to: "192.0.2.255:9"`,
			path: machine.WakePath{Transports: []string{}, To: netip.MustParseAddrPort("192.0.2.255:9")},
		},
		{
			given: "wake_transports: [], wake_command: [/bin/wake, a b, '', '5', a b]", printed: `wake_command: [/bin/wake, a b, "", "5", a b]`,
			path: machine.WakePath{Transports: []string{}, Command: []string{"/bin/wake", "a b", "", "5", "a b"}},
		},
	} {
		t.Run(tt.given, func(t *testing.T) {
			c := load(t, oneMachine(tt.given), nil)
			m := c.Machines[0]
			if m.WakeMAC != tt.card {
				t.Errorf("the card is %v, want %v", m.WakeMAC, tt.card)
			}
			if diff := cmp.Diff(tt.path, m.Path, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if want := m.WakeMAC; want == (ether.MAC{}) && m.MagicMAC() != own || want != (ether.MAC{}) && m.MagicMAC() != want {
				t.Errorf("magic packets are for %v", m.MagicMAC())
			}
			printed := tt.printed
			if printed == "" {
				printed = tt.given
			}
			shown := effective(t, c)
			if printed == "-" && strings.Contains(shown, "wake_mac") || printed != "-" && !strings.Contains(shown, printed) {
				t.Errorf("printed as\n%s\nwant %s", shown, printed)
			}
		})
	}
}
