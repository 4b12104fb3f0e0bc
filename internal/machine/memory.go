package machine

import (
	"net/netip"
	"time"
)

// Memory is what is stored of a machine to restore it after the porter was not
// running.
type Memory struct {
	Spec       Spec
	State      State
	Since      time.Time // when State was entered
	Registered time.Time // when it registered last; zero if it never did
	Counted    time.Time // since when Tally counts; zero if that is not known
	Heard      time.Time // when a frame of it was heard last; zero if that is not known
	LastWake   LastWake
	BootTimes  BootTimes
	Tally      Tally
	SleepLog   SleepLog
	Knocks     Knocks
	NICAnswers bool         // the network card or firmware answers while it sleeps
	Unproved   []netip.Addr // addresses that it has never answered for: not claimed before it does
	OtherAddrs []netip.Addr // addresses that it uses and did not register
	Failures   int          // wakes in a row that brought no frame
	Paused     time.Time    // end of the pause; zero: none

	NameConfigured bool // the configuration gave the machine its name; the porter fills it in
}

// stateBefore is the state that a settling machine was last known to be in.
var stateBefore = [...]State{bySaid: Settling, bySilence: Awake, byFrame: Asleep, byRestart: Asleep, byRestartInWake: Waking, byFlap: Awake}

// settlingKind is why a machine settles.
type settlingKind uint8

const (
	bySaid          settlingKind = iota // it registered: its answers do not end that
	bySilence                           // it left probes unanswered
	byFrame                             // it sent a frame while it slept
	byRestart                           // it slept before the porter's restart
	byRestartInWake                     // it was being woken before the porter's restart
	byFlap                              // it came up, and lost its network again
)

// sleep is a sleep whose end the porter did not see.
type sleep struct {
	since time.Time // when it began
	until time.Time // it lasted no longer, if it had ended
}

func (s sleep) known() bool { return !s.since.IsZero() }

// lasted returns how long the sleep lasted for sure, and until when.
func (s sleep) lasted() (time.Duration, time.Time) { return max(0, s.until.Sub(s.since)), s.until }
