package handover_test

import (
	"slices"
	"testing"
	"time"

	"nightporter/internal/handover"
	"nightporter/internal/machine"
)

// pace is that of one machine alone, which has 4,000 questions a second.
const pace = 250 * time.Microsecond

// shops returns n TCP services of one machine, from port first on.
func shops(first, n int) []machine.Service {
	var all []machine.Service
	for i := range n {
		all = append(all, machine.Service{Addr: nas4, Port: machine.Port{Protocol: machine.TCP, Number: uint16(first + i)}})
	}
	return all
}

// loop drives r as the daemon's loop does, which is up to late after what Next
// has told, and returns when each service was asked.
func loop(r *handover.Readiness, from, until, pace, late time.Duration) (asked map[machine.Service][]time.Duration, all int) {
	asked = make(map[machine.Service][]time.Duration)
	for {
		next := r.Next()
		if next.IsZero() {
			return asked, all
		}
		now := max(next.Sub(start), from) + late
		if now > until {
			return asked, all
		}
		from = now
		ask := r.Due(start.Add(now), pace, waiting).Probe
		for _, s := range ask {
			asked[s] = append(asked[s], now)
		}
		all += len(ask)
	}
}

// TestServicesShareTheQuestions: the pace is the machine's, however many of its
// services are waited for, and each of them gets its share of the questions.
func TestServicesShareTheQuestions(t *testing.T) {
	for _, c := range []struct {
		name       string
		pace, late time.Duration
		services   int
		least      int // questions in the first second
	}{
		{"one machine, a loop with nothing else to do", pace, 0, 200, 3990},
		{"one machine, a loop that wakes each millisecond", pace, time.Millisecond, 200, 3900},
		{"one machine, few services", pace, 0, 8, 1590}, // each every 5 ms, as if it were alone
		{"a hundred machines", 100 * pace, 0, 200, 39},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r handover.Readiness
			services := shops(1000, c.services)
			r.Expect(start, unset, services)
			asked, all := loop(&r, 0, time.Second-1, c.pace, c.late)
			if most := int(time.Second/c.pace) + 10; all < c.least || all > most {
				t.Errorf("%d questions in the first second, want %d to %d", all, c.least, most)
			}
			share := all / len(services)
			for _, s := range services {
				if n := len(asked[s]); n < share-1 || n > share+1 {
					t.Errorf("%v was asked %d times, want %d", s, n, share)
				}
			}
		})
	}
}

// TestNewcomerIsAskedFirst: many that are asked again and again do not hold up
// the first question to one more.
func TestNewcomerIsAskedFirst(t *testing.T) {
	var r handover.Readiness
	services := shops(1000, 200)
	r.Expect(start, unset, services)
	const round = 200 * 40 * pace
	loop(&r, 0, round, 40*pace, 0)
	late := shops(5000, 3)
	r.Expect(start.Add(round), unset, slices.Concat(services, late))
	asked, _ := loop(&r, round, 2*round, 40*pace, 0)
	for _, s := range late {
		if len(asked[s]) == 0 || asked[s][0] > round+4*40*pace {
			t.Errorf("%v, which came after %v, was asked at %v", s, round, asked[s])
		}
	}
}

// TestWhoIsReadyLeavesItsShare: what one service needs no more the others get.
func TestWhoIsReadyLeavesItsShare(t *testing.T) {
	var r handover.Readiness
	services := shops(1000, 100)
	r.Expect(start, unset, services)
	loop(&r, 0, 100*time.Millisecond, pace, 0)
	for _, s := range services[1:] {
		r.Accepted(start, s)
	}
	asked, _ := loop(&r, 100*time.Millisecond, time.Second, pace, 0)
	at := asked[services[0]]
	for i := range at[1:] {
		if gap := at[i+1] - at[i]; gap > 6*time.Millisecond {
			t.Fatalf("%v between two questions to the one that is left", gap)
		}
	}
}

// TestPauseIsNoCredit: what was not asked while nothing was due is not asked all
// at once later.
func TestPauseIsNoCredit(t *testing.T) {
	var r handover.Readiness
	r.Expect(start, unset, shops(1000, 1))
	r.Due(start, pace, waiting)
	r.Expect(start.Add(time.Second), unset, shops(1000, 500))
	if ask := r.Due(start.Add(time.Second), pace, waiting).Probe; len(ask) > 10 {
		t.Errorf("%d questions at once after a second without many", len(ask))
	}
}

// TestDatagramsHaveTheirRationOnly: questions to TCP services do not take the
// turn of one that is asked by datagrams.
func TestDatagramsHaveTheirRationOnly(t *testing.T) {
	var r handover.Readiness
	r.Expect(start, unset, append(shops(1000, 200), game))
	r.Due(start, time.Second, waiting)
	r.Answered(start, nas4)
	if ask := r.Due(start, time.Second, waiting).Probe; !slices.Contains(ask, game) {
		t.Errorf("asks %v, want the datagram", ask)
	}
}
