package e2e

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// shortWakes ends a wake after a few seconds.
const shortWakes = "wake: {attempts: 3, interval: 300ms}\n"

// TestFieldNeverWakes: a machine that does not wake is requested every two seconds. The porter
// wakes it with growing pauses, and reports the failure once.
func TestFieldNeverWakes(t *testing.T) {
	t.Parallel()
	const pace, span = 2 * time.Second, 40 * time.Second
	udp := func(s *machineTest, ip netip.Addr) {
		if conn, err := s.lan.Client().Dial(s.ctx, "udp", netip.AddrPortFrom(ip, 27015).String()); err == nil {
			_, _ = conn.Write([]byte("knock"))
			conn.Close()
		}
	}
	ping := func(s *machineTest, ip netip.Addr) {
		_ = s.lan.Client().Ping(s.within(pace/2), ip)
	}
	tcp := func(s *machineTest, ip netip.Addr) { // a check with a timeout of a second
		s.startConnecting(s.lan.Client(), ip, 22).cancelAfter(pace / 2)
	}
	for _, c := range []struct {
		name      string
		ip        netip.Addr
		agentless bool
		knock     func(*machineTest, netip.Addr)
	}{
		{"ping", nas4, false, ping}, {"ping over IPv6", nas6, false, ping}, {"TCP", nas4, false, tcp}, {"UDP", nas6, false, udp},
		{"agentless", nas4, true, ping},
	} {
		t.Run(c.name, func(t *testing.T) {
			variantUnless(t, c.name == "ping")
			s := openMachine(t, fieldProbe+shortWakes, c.agentless, func(m *lab.MachineConfig) { m.IgnoreMagic = lab.IgnoreAll })
			s.sleepClaimed()
			n, lines, magic := s.daemon.Log.Len(), journalLines(s.harness), s.nas.MagicCount()
			for end := time.Now().Add(span); time.Now().Before(end); {
				next := time.Now().Add(pace)
				c.knock(s, c.ip)
				time.Sleep(time.Until(next))
			}
			wakes, grown, packets := countMoves(s.harness, n, "nas", "waking"), journalLines(s.harness)-lines, s.nas.MagicCount()-magic
			t.Logf("in %v: %d wakes, %d journal lines, %d magic packets", span, wakes, grown, packets)
			if wakes < 1 || wakes > 6 {
				t.Errorf("%d wakes, want few, with growing pauses: %v", wakes, s.transitions(n, "nas"))
			}
			if grown > 40 || packets > 90 {
				t.Errorf("%d journal lines and %d magic packets", grown, packets)
			}
			if got := s.events("nas", journal.Failed); len(got) != 1 {
				t.Errorf("%d events of failed wakes, want one", len(got))
			}
			s.wantGrowingPauses(n)

			// It starts without the porter, sleeps, and is woken at once.
			n = s.daemon.Log.Len()
			s.must(s.nas.PowerOn())
			s.waitEvent(s.nas, lab.NetworkUp)
			s.waitState(20*time.Second, n, "nas", "awake")
			s.sleepClaimed()
			s.nas.IgnoreMagic(0)
			s.wantServed(c.ip)
		})
	}
}

// wantGrowingPauses expects that the pauses between wakes do not become shorter.
func (s *machineTest) wantGrowingPauses(n int) {
	s.Helper()
	var last time.Time
	var pause time.Duration
	for _, e := range s.daemon.Log.Entries(n) {
		if e.Field("machine") != "nas" || e.Field("to") != "waking" {
			continue
		}
		if !last.IsZero() {
			// The pause ends with the next knock.
			if now := e.Time.Sub(last); now < pause-2*time.Second-slack {
				s.Errorf("a pause of %v after one of %v: %v", now, pause, s.transitions(n, "nas"))
			} else {
				pause = now
			}
		}
		last = e.Time
	}
}

// TestFieldDeadBesideOthers: a machine that never wakes does not delay others.
func TestFieldDeadBesideOthers(t *testing.T) {
	s := openMachine(t, fieldProbe+shortWakes, false, func(m *lab.MachineConfig) { m.IgnoreMagic = lab.IgnoreAll })
	pc, err := s.lan.AddMachine(lab.MachineConfig{Name: "pc", Boot: 450 * time.Millisecond,
		Addrs:    []netip.Prefix{netip.MustParsePrefix("10.77.0.30/24"), netip.MustParsePrefix("fd77::30/64")},
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 22}}})
	s.must(err)
	s.sleepClaimed()
	dead := s.startConnecting(s.lan.Client(), nas4, 22)
	defer dead.cancel()
	s.waitState(10*time.Second, 0, "nas", "waking")
	for _, ip := range []netip.Addr{pc.Addr4(), pc.Addr6()} {
		s.must(sleepRegisteredAs(s.within(20*time.Second), s.harness, pc, registration("pc", pc.MAC(), monitored{pc.Addr4(), []any{22}}, monitored{pc.Addr6(), []any{22}})))
		s.call(s.lan.Client(), pc, ip, 22)
	}
}

// TestFieldDeadMachineDoesNotDefend: another host that tests an address of a machine that did
// not wake gets the address, with an event. Before the failed wake the address is defended.
func TestFieldDeadMachineDoesNotDefend(t *testing.T) {
	s := openMachine(t, fieldProbe+shortWakes, false, func(m *lab.MachineConfig) { m.IgnoreMagic = lab.IgnoreAll })
	s.sleepClaimed()
	newcomer := func(name, address string) lab.Forger {
		host, err := s.lan.AddHost(name, netip.MustParsePrefix(address))
		s.must(err)
		return host.Forge(host.MAC())
	}
	first := newcomer("first", "10.77.0.66/24")
	s.must(first.ARPProbe(nas4))
	time.Sleep(time.Second)
	waitStanding(s.harness, time.Second, nas4, "claimed")
	n := s.daemon.Log.Len()
	_ = s.lan.Client().Ping(s.within(time.Second), nas4)
	s.waitMove(n, "nas", "waking", "asleep", machine.WhyAttemptsGone)
	second := newcomer("second", "10.77.0.67/24")
	s.must(second.ARPProbe(nas4))
	e := s.waitAPIEvent("nas", journal.Conflict, aboutAddress(nas4))
	if e.Reason == "" {
		t.Error("the event has no reason")
	}
	waitStanding(s.harness, time.Second, nas4, "conceded")
	s.must(second.TestAddress(nas6))
	s.waitAPIEvent("nas", journal.Conflict, aboutAddress(nas6))
}
