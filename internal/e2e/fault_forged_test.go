package e2e

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// forgeries are frames that another host may send with the MAC of nas, and the address in them.
var forgeries = []struct {
	name string
	ip   netip.Addr
	send func(*harness, lab.Forger) error
}{
	{"ARP request", nas4, func(h *harness, f lab.Forger) error { return f.ARPRequest(nas4, h.lan.Client().Addr4()) }},
	{"solicitation", nas6, func(h *harness, f lab.Forger) error { return f.Solicit(nas6, h.lan.Client().Addr6()) }},
	{"ARP probe", nas4, func(_ *harness, f lab.Forger) error { return f.ARPProbe(nas4) }},
	{"IPv6 test", nas6, func(_ *harness, f lab.Forger) error { return f.TestAddress(nas6) }},
	{"ARP reply", nas4, func(_ *harness, f lab.Forger) error { return f.ARPReply(nas4) }},
	{"advertisement", nas6, func(_ *harness, f lab.Forger) error { return f.Advertise(nas6) }},
	{"UDP", nas4, func(h *harness, f lab.Forger) error {
		return f.Datagram(ether.Broadcast, netip.AddrPortFrom(nas4, 5353), netip.AddrPortFrom(h.lan.Client().Addr4(), 5353), []byte("forged"))
	}},
	{"UDP over IPv6", nas6, func(h *harness, f lab.Forger) error {
		return f.Datagram(ether.Broadcast, netip.AddrPortFrom(nas6, 5353), netip.AddrPortFrom(h.lan.Client().Addr6(), 5353), []byte("forged"))
	}},
}

// addForger adds a host that sends frames as nas.
func (s *machineTest) addForger() (*lab.Host, lab.Forger) {
	s.Helper()
	host, err := s.lan.AddHost("forger", netip.MustParsePrefix("10.77.0.66/24"), netip.MustParsePrefix("fd77::66/64"))
	s.must(err)
	return host, host.Forge(s.nas.MAC())
}

// TestFieldForgedFrames: another host sends frames with the MAC of the sleeping machine, 1.6 s
// apart. No probe is answered. The machine never counts as awake. Only the address in the
// frames is unanswered, while the porter probes.
func TestFieldForgedFrames(t *testing.T) {
	t.Parallel()
	for _, way := range knownBy {
		for i, forgery := range forgeries {
			t.Run(way.name+"/"+forgery.name, func(t *testing.T) {
				variantUnless(t, way.name == "registered" && i < 4)
				s := openMachine(t, forgotten+way.conf, way.agentless, nil)
				other := nas4
				if forgery.ip == nas4 {
					other = nas6
				}
				host, forger := s.addForger()
				client, porter := s.lan.Client(), s.lan.Porter().MAC()
				capture := s.capturePort(host)
				s.sleepClaimed()
				n := s.daemon.Log.Len()
				var sent [3]time.Time
				for i := range sent {
					if i > 0 {
						time.Sleep(time.Until(sent[i-1].Add(1600 * time.Millisecond)))
					}
					sent[i] = time.Now()
					s.must(forgery.send(s.harness, forger))
					if i == 0 {
						s.waitState(2*time.Second, n, "nas", "settling")
					}
					if whoHas(s.harness, client, forgery.ip) == porter {
						t.Errorf("the porter answers for %v", forgery.ip)
					}
					if got := whoHas(s.harness, client, other); got != porter {
						t.Errorf("%v answers for %v, which is in no forged frame", got, other)
					}
				}
				waitWhoHas(s.harness, time.Until(sent[2].Add(3*time.Second+slack)), client, forgery.ip, porter)
				if got := countMoves(s.harness, n, "nas", "awake"); got > 0 {
					t.Errorf("taken for awake: %v", s.transitions(n, "nas"))
				}
				for _, at := range sent {
					if claimedBetween(s.harness, capture, at.Add(50*time.Millisecond), at.Add(1200*time.Millisecond), forgery.ip) {
						t.Error("the porter spoke for the address within 1.2 s")
					}
				}
				s.wantServed(forgery.ip)
			})
		}
	}
}

// claimedBetween reports whether the porter claimed ip to a host in that time.
func claimedBetween(h *harness, capture *lab.Capture, from, to time.Time, ip netip.Addr) bool {
	for _, f := range capture.Frames() {
		if f.Time.After(from) && f.Time.Before(to) && !f.Outgoing && isClaim(f, h.lan.Porter().MAC(), ip) {
			return true
		}
	}
	return false
}

// TestFieldForgedWhileItWakes: forged frames do not count as the machine's arrival.
func TestFieldForgedWhileItWakes(t *testing.T) {
	t.Parallel()
	const boot = 5450 * time.Millisecond
	for _, i := range []int{0, 1, 6, 7} { // an address test counts as arrival
		forgery := forgeries[i]
		t.Run(forgery.name, func(t *testing.T) {
			variantUnless(t, i < 2)
			s := openMachine(t, fieldProbe, false, func(c *lab.MachineConfig) { c.Boot = boot })
			_, forger := s.addForger()
			s.sleepClaimed()
			n := s.daemon.Log.Len()
			call := s.startConnecting(s.lan.Client(), forgery.ip, 22)
			on := s.waitEvent(s.nas, lab.PoweredOn)
			for range 3 {
				s.must(forgery.send(s.harness, forger))
				time.Sleep(1200 * time.Millisecond)
			}
			if err := <-call.done; err != nil {
				t.Fatal(err)
			}
			for _, e := range s.daemon.Log.Entries(n) {
				if labdaemon.Moved("nas", "", "arriving", "")(e) && e.Time.Before(on.Time.Add(boot)) {
					t.Errorf("taken for arrived %v after its power", e.Time.Sub(on.Time))
				}
			}
			s.waitState(10*time.Second, n, "nas", "awake")
			if took := s.metric(`nightporter_machine_boot_duration_seconds_sum{machine="nas"}`); took < boot.Seconds() {
				t.Errorf("the boot took %v s by the metrics: that was the forger", took)
			}
			s.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
		})
	}
}

// TestFieldFirmwareTestsAnAddress: during the boot the firmware tests an address, as an
// operating system would, and is silent again. The machine arrives, returns to waking, and its
// client is served when it has really started.
func TestFieldFirmwareTestsAnAddress(t *testing.T) {
	t.Parallel()
	for _, i := range []int{2, 3} {
		forgery := forgeries[i]
		t.Run(forgery.name, func(t *testing.T) {
			s := openMachine(t, fieldProbe, false, func(c *lab.MachineConfig) { c.Boot = 5450 * time.Millisecond })
			_, firmware := s.addForger()
			s.sleepClaimed()
			n := s.daemon.Log.Len()
			served := s.callLater(s.lan.Client(), forgery.ip, 22)
			s.waitEvent(s.nas, lab.PoweredOn)
			s.must(forgery.send(s.harness, firmware))
			s.waitMove(n, "nas", "waking", "arriving", machine.WhyArrived)
			s.waitMove(n, "nas", "arriving", "waking", machine.WhyFirmware)
			s.waitCall(served, s.nas)
			s.waitState(10*time.Second, n, "nas", "awake")
			if happened(s.nas, lab.DADFailed) {
				t.Error("duplicate address detection failed")
			}
			s.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
		})
	}
}
