package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// maxDelayAfterFlap is the longest delay of a client that connected during a flap: its kernel
// may repeat a neighbor request once or twice.
const maxDelayAfterFlap = 2500 * time.Millisecond

// TestFieldResumeFlap: a machine resumes and takes a connection. Some seconds later its network
// card is reset. A client that connects meanwhile is served as soon as the card is back, and
// the open connection continues. The porter neither wakes the machine again nor answers its
// address tests.
func TestFieldResumeFlap(t *testing.T) {
	t.Parallel()
	for _, in := range settings {
		for _, ip := range []netip.Addr{nas4, nas6} {
			for _, away := range []time.Duration{2100 * time.Millisecond, 6700 * time.Millisecond} {
				for _, suspend := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s/%v/%v/suspend=%t", in.name, ip, away, suspend), func(t *testing.T) {
						variantUnless(t, in.name == "registered" && suspend || in.forwards && away > 3*time.Second && suspend && ip == nas4)
						s := openMachineIn(t, in, fieldProbe, func(c *lab.MachineConfig) {
							c.Suspend, c.ARPProbe = suspend, true
							c.Flap = lab.Flap{After: 2300 * time.Millisecond, For: away}
						})
						s.connectInFlap(ip, away)
					})
				}
			}
		}
	}
}

// connectInFlap lets nas be woken, and connects to it while its card is down: after the
// announcement that the porter sends 3 s after the return, and so that all three requests of
// the client's kernel are over before the next announcement.
func (s *machineTest) connectInFlap(ip netip.Addr, away time.Duration) {
	s.Helper()
	second := s.addClient("second", 30)
	s.sleepClaimed()
	session := s.call(s.lan.Client(), s.nas, ip, 22)
	s.waitEvent(s.nas, lab.NetworkUp)
	magic := s.nas.MagicCount()
	down := s.waitEvent(s.nas, lab.CardDown)
	s.must(second.ForgetNeighbor(ip)) // its kernel sends requests for 3 s
	sleepUntil(down.Time, 1300*time.Millisecond)
	waits := s.callLater(second, ip, 22)
	up := s.waitEvent(s.nas, lab.NetworkUp).Time
	if ip.Is4() { // three probes take it 300 ms, and then it waits for IPv6
		up = down.Time.Add(away + 300*time.Millisecond)
	}
	got := <-waits
	if got.error != nil {
		s.Errorf("a client that came during the flap: %v; %v", got.error, s.transitions(0, "nas"))
	} else {
		late := got.ended.Sub(up)
		got.conn.Close()
		s.Logf("a client that came during the flap was connected %v after the address was back", late)
		if late > maxDelayAfterFlap {
			s.Errorf("connected %v after the address was back, want %v at most", late, maxDelayAfterFlap)
		}
	}
	if happened(s.nas, lab.DADFailed) {
		s.Error("duplicate address detection failed after the flap")
	}
	wantEcho(s.harness, session.conn, 1<<10)
	s.waitState(20*time.Second, 0, "nas", "awake")
	s.wantWokenOnce()
	if s.nas.MagicCount() > magic {
		s.Errorf("%d magic packets after it was awake", s.nas.MagicCount()-magic)
	}
}
