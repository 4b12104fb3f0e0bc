package metrics_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

// A machine that slept an hour, is forgotten and registers again starts at 0,
// even when no scrape came between.
func TestSameNameStartsAnew(t *testing.T) {
	h := new(fakePorter)
	h.set(midnight.Add(time.Hour), asleep("nas", midnight))
	m, reg := newMetrics(t, h.source())
	const slept = "nightporter_machine_sleep_seconds_total"
	if v := value(t, reg, slept); v != 3600 {
		t.Fatalf("slept %v s, want 3600", v)
	}
	m.RemoveMachine("nas")
	h.set(midnight.Add(time.Hour), asleep("nas", midnight.Add(time.Hour)))
	if v := value(t, reg, slept); v != 0 {
		t.Errorf("the new machine slept %v s, want 0", v)
	}
}

func TestSleepNeverFalls(t *testing.T) {
	at := func(s float64) time.Time { return midnight.Add(time.Duration(s * float64(time.Second))) }
	woken := func(slept float64) machine.Status {
		s := asleep("nas", at(slept))
		s.State = machine.Waking
		s.Tally.Slept = at(slept).Sub(midnight)
		s.Tally.SavedJoules = 48 * slept
		return s
	}
	thrifty := asleep("nas", midnight)
	thrifty.IdleWatts = 12
	tests := []struct {
		name                  string
		now                   float64 // of the second scrape; the first is at 100 s, asleep since 0 s
		then                  machine.Status
		wantSlept, wantJoules float64
	}{
		{"sleeps on", 150, asleep("nas", midnight), 150, 7200},
		{"woken later", 200, woken(120), 120, 5760},
		{"woken at the same moment", 100, woken(100), 100, 4800},
		{"woken by a knock older than the scrape", 101, woken(99.5), 100, 4800},
		{"the clock is set back", 40, asleep("nas", midnight), 100, 4800},
		{"it draws less than it said before", 200, thrifty, 200, 4800},
		{"and catches up", 500, thrifty, 500, 5000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := new(fakePorter)
			_, reg := newMetrics(t, h.source())
			h.set(at(100), asleep("nas", midnight))
			if v := value(t, reg, "nightporter_machine_sleep_seconds_total"); v != 100 {
				t.Fatalf("slept %v s at first, want 100", v)
			}
			h.set(at(tt.now), tt.then)
			if v := value(t, reg, "nightporter_machine_sleep_seconds_total"); v != tt.wantSlept {
				t.Errorf("slept %v s, want %v", v, tt.wantSlept)
			}
			if v := value(t, reg, "nightporter_machine_energy_saved_joules_total"); v != tt.wantJoules {
				t.Errorf("saved %v J, want %v", v, tt.wantJoules)
			}
		})
	}
}

var packetFacts = []string{
	"nightporter_held_packets_total", "nightporter_replayed_packets_total", "nightporter_held_packets_dropped_total",
}

// Each count of packets keeps what was shown, also when only another one grows,
// and starts at 0 for the next machine of the name.
func TestPacketsNeverFall(t *testing.T) {
	h := new(fakePorter)
	m, reg := newMetrics(t, h.source())
	for _, step := range []struct {
		name string
		now  machine.Packets
		want [3]float64 // as packetFacts
	}{
		{"registered", machine.Packets{}, [3]float64{0, 0, 0}},
		{"grown", machine.Packets{Held: 9, Replayed: 5, Dropped: 3}, [3]float64{9, 5, 3}},
		{"held of an earlier look", machine.Packets{Held: 8, Replayed: 6, Dropped: 4}, [3]float64{9, 6, 4}},
		{"replayed of an earlier look", machine.Packets{Held: 10, Replayed: 5, Dropped: 5}, [3]float64{10, 6, 5}},
		{"dropped of an earlier look", machine.Packets{Held: 11, Replayed: 7, Dropped: 4}, [3]float64{11, 7, 5}},
		{"caught up", machine.Packets{Held: 12, Replayed: 8, Dropped: 6}, [3]float64{12, 8, 6}},
	} {
		nas := asleep("nas", midnight)
		nas.Packets = step.now
		h.set(midnight, nas)
		for i, name := range packetFacts {
			if v := value(t, reg, name); v != step.want[i] {
				t.Errorf("%s: %s is %v, want %v", step.name, name, v, step.want[i])
			}
		}
	}
	m.RemoveMachine("nas")
	h.set(midnight, asleep("nas", midnight))
	for _, name := range packetFacts {
		if v := value(t, reg, name); v != 0 {
			t.Errorf("%s of a new machine is %v, want 0", name, v)
		}
	}
}
