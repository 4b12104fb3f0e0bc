package machine

import "time"

// Policy is what the operator decided about probing and waking.
type Policy struct {
	ProbeInterval time.Duration // between two probes of a settling machine
	ProbeMisses   int           // unanswered probes in a row that mean it is off
	ProbeTimeout  time.Duration // how long a machine may take to fall silent
	WatchInterval time.Duration // between two probes of a machine that is awake; 0: none
	WakeAttempts  int           // rounds of magic packets of one wake
	WakeInterval  time.Duration // between two of them
	WakeTimeout   time.Duration // how long a wake goes on that is waited for, and the wait for a service while a client tries
	Keep          bool          // keep a machine whose wake failed
	Holdoff       time.Duration // no magic packet sooner than this after the claim
	ReadyTimeout  time.Duration // from the first proof of life to a handover to a service that is not ready
	Porter        uint64        // tells this porter from others on the LAN, so that they do not do the same at the same time

	OverrideOffload bool // claim a machine also where its network card or firmware answers while it sleeps
}

// A machine that slept before is asked quickly: it is hardly just shutting down,
// and its clients wait for an answer.
const (
	quickMisses   = 3
	quickInterval = 300 * time.Millisecond
)

// answerPace is how soon a settling machine may be asked again, and the least time
// that it has for its answer.
func (p *Policy) answerPace() time.Duration { return min(p.ProbeInterval, quickInterval) }

// Pace returns how long to wait with the next question to a machine that is
// awaited since waited: an 800th of that, so that we notice hardly later than it
// takes anyway, but no less than 5 ms or fastest, and no more than slowest.
func Pace(waited, fastest, slowest time.Duration) time.Duration {
	return min(max(waited/800, 5*time.Millisecond, fastest), slowest)
}
