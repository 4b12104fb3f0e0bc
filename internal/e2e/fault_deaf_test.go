package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// maxPowerOnDelay is the longest time from the card's first ability to receive to the power-on.
const maxPowerOnDelay = 2 * time.Second

// TestFieldDeafCard: the card receives nothing for some seconds after the knock, as many cards
// after a loss of power. By the default of wake.interval the next round would come after 15 s.
func TestFieldDeafCard(t *testing.T) {
	t.Parallel()
	for _, in := range settings[:2] {
		for i, deaf := range []time.Duration{1300 * time.Millisecond, 4 * time.Second, 6 * time.Second, 11 * time.Second} {
			t.Run(fmt.Sprintf("%s/%v", in.name, deaf), func(t *testing.T) {
				variantUnless(t, !in.agentless)
				s := openMachineIn(t, in, fieldProbe, nil)
				s.sleepClaimed()
				s.nas.Deafen(deaf)
				s.wantOnSoon(deaf, []netip.Addr{nas4, nas6}[i%2])
			})
		}
		t.Run(in.name+"/every second packet", func(t *testing.T) {
			variantUnless(t, !in.agentless)
			s := openMachineIn(t, in, fieldProbe, func(c *lab.MachineConfig) { c.HalfDeaf = true })
			s.sleepClaimed()
			s.wantOnSoon(0, nas4)
		})
	}
}

// wantOnSoon knocks, and expects the power-on soon after the card can receive.
func (s *machineTest) wantOnSoon(deaf time.Duration, ip netip.Addr) {
	s.Helper()
	able := time.Now().Add(deaf)
	waits := s.callLater(s.lan.Client(), ip, 22)
	on := s.waitEvent(s.nas, lab.PoweredOn)
	took := on.Time.Sub(able)
	s.Logf("deaf for %v, powered on %v later", deaf, took)
	if took > maxPowerOnDelay {
		s.Errorf("powered on %v after its card could hear, want %v at most", took, maxPowerOnDelay)
	}
	s.waitCall(waits, s.nas)
	s.wantWokenOnce()
}

// TestFieldDenseFirstRound: magic packets are dense at first, for cards that miss the first
// one. Later they come once in wake.interval.
func TestFieldDenseFirstRound(t *testing.T) {
	t.Parallel()
	defaults := []time.Duration{0, 500 * time.Millisecond}
	for s := range 14 {
		defaults = append(defaults, time.Duration(s+1)*time.Second)
	}
	for _, c := range []struct {
		name, conf string
		want       []time.Duration
	}{
		{"default", "", append(defaults, 15*time.Second, 30*time.Second)},
		{"a short interval", "wake: {interval: 4s}\n", []time.Duration{0, 500 * time.Millisecond, time.Second, 2 * time.Second,
			3 * time.Second, 4 * time.Second, 8 * time.Second, 12 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openMachine(t, fieldProbe+c.conf, false, func(m *lab.MachineConfig) { m.IgnoreMagic = lab.IgnoreAll })
			s.sleepClaimed()
			before := len(s.nas.Log())
			tries := s.startConnecting(s.lan.Client(), nas4, 22)
			defer tries.cancel()
			var first time.Time
			next := func(limit time.Duration) time.Duration {
				e, err := s.nas.WaitEvent(s.within(limit), lab.MagicPacket)
				s.must(err)
				if first.IsZero() {
					first = e.Time
				}
				return e.Time.Sub(first)
			}
			last := c.want[len(c.want)-1]
			for next(20*time.Second) < last-slack/2 {
			}
			s.wantRounds(rounds(s.nas.Log()[before:]), c.want)
		})
	}
}

// rounds returns the beginnings of the rounds of magic packets, from the first one.
func rounds(log []lab.Event) (all []time.Duration) {
	var first, last time.Time
	for _, e := range log {
		if e.Kind != lab.MagicPacket {
			continue
		}
		if first.IsZero() {
			first = e.Time
		}
		if e.Time.Sub(last) > 100*time.Millisecond {
			all = append(all, e.Time.Sub(first).Round(time.Millisecond))
		}
		last = e.Time
	}
	return all
}

// wantRounds compares the beginnings of rounds.
func (s *machineTest) wantRounds(got, want []time.Duration) {
	s.Helper()
	s.Logf("rounds of magic packets: %v", got)
	same := len(got) == len(want)
	for i := 0; same && i < len(got); i++ {
		same = (got[i] - want[i]).Abs() < 200*time.Millisecond
	}
	if !same {
		s.Errorf("rounds of magic packets at %v, want %v", got, want)
	}
}
