package machine

import (
	"fmt"
	"net/netip"
	"time"
)

// Outcome is how a wake ended.
type Outcome uint8

// The outcomes of a wake.
const (
	Over     Outcome = iota // without the porter, or it was not there to see
	UnderWay                // it has not ended
	Served                  // the machine was handed over, its services ready
	Unready                 // it was handed over after hold.ready_timeout, with a service not ready
	GivenUp                 // no answer after the last attempt
)

// Outcomes lists every outcome.
var Outcomes = [...]Outcome{Over, UnderWay, Served, Unready, GivenUp}

var outcomeNames = [...]string{"over", "under_way", "ready", "unready", "failed"}

// String returns the outcome's name as the API shows it.
func (o Outcome) String() string {
	if int(o) >= len(outcomeNames) {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return outcomeNames[o]
}

// MarshalText implements encoding.TextMarshaler.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *Outcome) UnmarshalText(b []byte) error {
	for _, known := range Outcomes {
		if known.String() == string(b) {
			*o = known
			return nil
		}
	}
	return fmt.Errorf("outcome: found %q, expected one of %v", b, Outcomes)
}

// LastWake describes the last wake of a machine: who requested it, for what, and its
// outcome.
type LastWake struct {
	At      time.Time // when it began; zero if the machine was never woken
	Trigger Trigger
	Service Service        // that was knocked at
	Source  netip.AddrPort // of the knock
	By      string         // who requested it, if it was no knock
	Outcome Outcome

	Attempts int           // rounds of magic packets so far
	Boot     time.Duration // from the first magic packet to the first frame; 0: not yet
	Ready    time.Duration // from the first magic packet to the handover; 0: not yet
	Test     bool          // see WakeRequested
}

// Known reports whether the cause of the wake is known: journals of the first versions
// hold only its time.
func (w *LastWake) Known() bool { return w.Service.Addr.IsValid() || w.By != "" }

// BootTimes are the longest durations of the machine's wakes. They shrink by an eighth
// with each faster wake.
type BootTimes struct {
	Boot     time.Duration // from the first magic packet to its first proof of life
	Services time.Duration // from there to the handover
}

// with returns t with the durations of one more wake.
func (t BootTimes) with(boot, services time.Duration) BootTimes {
	return BootTimes{Boot: max(boot, t.Boot*7/8), Services: max(services, t.Services*7/8)}
}

// expected reports whether a machine that has booted before is likely to come up at
// this time after its first magic packet.
func (t BootTimes) expected(waited time.Duration) bool {
	return waited >= t.Boot*3/4 && waited <= t.Boot*5/4
}
