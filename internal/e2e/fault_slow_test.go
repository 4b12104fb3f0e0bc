package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/lab"
)

// A slowServer starts for minutes.
type slowServer struct {
	name        string
	boot, delay time.Duration
}

var (
	firmwareServer = slowServer{"slow firmware", 99 * time.Second, 5 * time.Second}        // the network after 100 s, the service after 105
	lateServer     = slowServer{"slow service", 9 * time.Second, 65500 * time.Millisecond} // after 10 s and after 75.5: SYNs come after 67 and 131
)

// serve lets a client wait for the server with one connect(). The settings are the defaults.
func (c slowServer) serve(t *testing.T, in setting, ip netip.Addr, announce bool) {
	s := openMachineIn(t, in, "", func(m *lab.MachineConfig) {
		m.Boot, m.Announce, m.Services[0].Delay = c.boot, announce, c.delay
	})
	s.sleepClaimed()
	s.wantAtOnce("the client", s.callFor(130*time.Second, s.lan.Client(), ip, 22))
	s.wantWokenOnce()
	s.wantMetric(0, `nightporter_machine_external_starts_total{machine="nas"}`)
}

// TestFieldSlowFirmware and TestFieldSlowService take longest, and subtests would start last.
func TestFieldSlowFirmware(t *testing.T) { firmwareServer.serve(t, settings[0], nas4, false) }

func TestFieldSlowService(t *testing.T) { lateServer.serve(t, settings[0], nas6, true) }

// TestFieldSlowServer: the other slow servers.
func TestFieldSlowServer(t *testing.T) {
	t.Parallel()
	for _, in := range settings {
		for _, ip := range []netip.Addr{nas4, nas6} {
			for _, c := range []slowServer{firmwareServer, lateServer} {
				for _, announce := range []bool{false, true} {
					if in.name == "registered" && announce == (ip == nas6) && (ip == nas6) == (c == lateServer) {
						continue // it has a test of its own
					}
					t.Run(fmt.Sprintf("%s/%v/%s/announce=%t", in.name, ip, c.name, announce), func(t *testing.T) {
						variantUnless(t, false)
						c.serve(t, in, ip, announce)
					})
				}
			}
		}
	}
}

// TestFieldSlowAddressTest: in this network hosts wait longer for objections to an IPv6 address
// than the silence that means off. The porter sends no objection meanwhile.
func TestFieldSlowAddressTest(t *testing.T) {
	t.Parallel()
	for _, way := range knownBy {
		t.Run(way.name, func(t *testing.T) {
			variantUnless(t, way.name == "registered")
			s := openMachine(t, fieldProbe+way.conf, way.agentless, func(m *lab.MachineConfig) {
				m.Addrs = slices.DeleteFunc(m.Addrs, func(p netip.Prefix) bool { return p.Addr().Is4() })
				m.Boot, m.RetransTimer = time.Second, 5*time.Second
			})
			s.sleepClaimed()
			n := s.daemon.Log.Len()
			s.wantAtOnce("the client", s.callLater(s.lan.Client(), nas6, 22))
			if happened(s.nas, lab.DADFailed) {
				t.Error("duplicate address detection failed")
			}
			s.waitState(10*time.Second, n, "nas", "awake")
			if want := "waking (silent again (boot firmware only))"; !slices.ContainsFunc(s.transitions(n, "nas"), func(p string) bool { return strings.HasSuffix(p, want) }) {
				t.Errorf("the porter did not count it as off, so the test checks nothing: %v", s.transitions(n, "nas"))
			}
			s.wantWokenOnce()
		})
	}
}

// wakeLasts configures the duration of a wake.
const wakeLasts = "wake: {attempts: 2, interval: 1s, timeout: 15s}\n"

// TestFieldGivenUpWithoutClient: a wake fails after its attempts when its client has given up.
func TestFieldGivenUpWithoutClient(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(fmt.Sprint(ip), func(t *testing.T) {
			variantUnless(t, ip == nas4)
			s := openMachine(t, fieldProbe+wakeLasts, false, func(m *lab.MachineConfig) { m.IgnoreMagic = lab.IgnoreAll })
			s.sleepClaimed()
			began := time.Now()
			s.startConnecting(s.lan.Client(), ip, 22).cancelAfter(1500 * time.Millisecond)
			took := s.waitGivenUp(began)
			// The last SYN came after one second, and the next would have come by the fourth.
			if took < 2*time.Second || took > 8*time.Second {
				t.Errorf("given up after %v, want 2 s (its attempts), and more while a client may try", took)
			}
		})
	}
}

// TestFieldTriesToTheEnd: a client that keeps trying extends the wake until wake.timeout.
func TestFieldTriesToTheEnd(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(fmt.Sprint(ip), func(t *testing.T) {
			variantUnless(t, ip == nas6)
			s := openMachine(t, fieldProbe+wakeLasts, false, func(m *lab.MachineConfig) { m.IgnoreMagic = lab.IgnoreAll })
			s.sleepClaimed()
			began := time.Now()
			tries := s.startConnecting(s.lan.Client(), ip, 22)
			defer tries.cancel()
			if took := s.waitGivenUp(began); took < 14*time.Second || took > 17*time.Second {
				t.Errorf("given up after %v, want 15 s (wake.timeout)", took)
			}
		})
	}
}

// waitGivenUp waits for the failed wake, and returns how long it took.
func (s *machineTest) waitGivenUp(began time.Time) time.Duration {
	s.Helper()
	s.waitState(20*time.Second, 0, "nas", "waking")
	n := s.daemon.Log.Len()
	s.waitState(25*time.Second, n, "nas", "asleep")
	took := time.Since(began)
	s.waitAPIEvent("nas", journal.Failed, func(journal.Event) bool { return true })
	return took
}
