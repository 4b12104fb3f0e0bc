package e2e

import (
	"fmt"
	"strings"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

// lasting are the counters that survive a restart.
var lasting = []string{
	"nightporter_machine_sleep_seconds_total", "nightporter_machine_energy_saved_joules_total",
	"nightporter_machine_wakes_total", "nightporter_machine_wake_failures_total", "nightporter_machine_wake_attempts_total",
	"nightporter_machine_external_starts_total", "nightporter_address_conflicts_total", "nightporter_machine_settle_timeouts_total",
}

// wantNothingLost compares counters with their values before the crash.
func (f *randomMachines) wantNothingLost(shown labdaemon.Samples) {
	f.Helper()
	now, err := f.daemon.Metrics(f.within(5 * time.Second))
	f.must(err)
	for series, before := range shown {
		name, _, _ := strings.Cut(series, "{")
		for _, l := range lasting {
			if name == l && now[series] < before {
				f.Errorf("%s was %v before the crash, and is %v", series, before, now[series])
			}
		}
	}
}

// wantPlausibleSleep compares the metrics of sleep with the machines' logs. For the machine that slept
// all the time the porter is exact to the second.
func (f *randomMachines) wantPlausibleSleep(lasted, down time.Duration) {
	f.Helper()
	for _, m := range f.members {
		truth, starts := timeOff(m.Machine)
		got := time.Duration(f.metric(`nightporter_machine_sleep_seconds_total{machine="%s"}`, m.Name()) * float64(time.Second))
		// It counts as asleep until its first frame, at most until the start of the next
		// daemon.
		least, most := time.Duration(0), min(lasted+time.Second, truth+down+time.Duration(starts)*2500*time.Millisecond)
		if m == f.idle {
			// Its claim comes after 3 s of silence.
			least, most = truth-4500*time.Millisecond, truth+time.Second
		}
		line := fmt.Sprintf("%s slept %v by our count, %v in truth, in %d sleeps", m.Name(), got.Round(time.Millisecond), truth.Round(time.Millisecond), starts)
		if f.Log(line); got < least || got > most {
			f.Errorf("%s: want %v to %v", line, least, most)
		}
	}
}

// timeOff returns how long a machine has been off, and how often it started.
func timeOff(m *lab.Machine) (total time.Duration, starts int) {
	var since time.Time
	for _, e := range m.Log() {
		switch {
		case e.Kind == lab.AsleepNow:
			since = e.Time
		case e.Kind == lab.PoweredOn && !since.IsZero():
			total, starts, since = total+e.Time.Sub(since), starts+1, time.Time{}
		}
	}
	if !since.IsZero() {
		total += time.Since(since)
	}
	return total, starts
}
