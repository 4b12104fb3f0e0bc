package machine

import "time"

// Policy is the configuration of probing and waking.
type Policy struct {
	ProbeInterval time.Duration // between two probes of a settling machine
	ProbeMisses   int           // unanswered probes in a row that mean it is off
	ProbeTimeout  time.Duration // time for a machine to fall silent
	WatchInterval time.Duration // between two probes of a machine that is awake; 0: none
	WakeAttempts  int           // rounds of magic packets of one wake
	WakeInterval  time.Duration // between two of them
	WakeTimeout   time.Duration // how long a wake goes on that is waited for, and the wait for a service while a client tries
	Keep          bool          // keep a machine whose wake failed
	Holdoff       time.Duration // no magic packet sooner than this after the claim
	ReadyTimeout  time.Duration // from the first proof of life to a handover with a service that is not ready
	Porter        uint64        // differs between porters on the LAN, so that they do not act at the same time

	OverrideOffload bool // claim a machine also where its network card or firmware answers while it sleeps
}

// A machine that slept before a restart is probed quickly: it is hardly shutting down,
// and its clients wait.
const (
	quickMisses   = 3
	quickInterval = 300 * time.Millisecond
)

// answerPace returns the least time between probes of a settling machine, which is
// also the least time for its answer.
func (p *Policy) answerPace() time.Duration { return min(p.ProbeInterval, quickInterval) }

// Pace returns the time to the next probe of a machine that has been awaited for
// waited: an 800th of it, at least 5 ms and fastest, at most slowest. So a boot is
// noticed with hardly any delay.
func Pace(waited, fastest, slowest time.Duration) time.Duration {
	return min(max(waited/800, 5*time.Millisecond, fastest), slowest)
}
