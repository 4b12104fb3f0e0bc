package machine

import (
	"net/netip"
	"time"
)

// Memory is what has to be known of a machine to go on with its life after the
// porter was away.
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
	NICAnswers bool         // its network card or firmware answers while it sleeps
	Unproved   []netip.Addr // addresses that it has never answered for: not claimed before it does
	OtherAddrs []netip.Addr // addresses that it spoke from and did not register
	Failures   int          // wakes in a row that brought no frame
	Paused     time.Time    // until then it is left alone; zero: it is not

	NameConfigured bool // the configuration gave the machine its name; the porter fills it in
}

// before is what a machine that settles was last known to be.
var stateBefore = [...]State{bySaid: Settling, bySilence: Awake, byFrame: Asleep, byRestart: Asleep, byRestartInWake: Waking, byFlap: Awake}

// settling is why a machine settles.
type settlingKind uint8

const (
	bySaid          settlingKind = iota // it said that it will sleep: its answers do not end that
	bySilence                           // it left our questions unanswered
	byFrame                             // it spoke in its sleep
	byRestart                           // it slept when the porter was last there
	byRestartInWake                     // it was being woken when the porter was last there
	byFlap                              // it had come up, and lost its network again
)

// sleep is one that the porter did not see the end of.
type sleep struct {
	since time.Time // when it began
	until time.Time // it lasted no longer, if it had ended
}

func (s sleep) known() bool { return !s.since.IsZero() }

// lasted returns how long it lasted for sure, and until when.
func (s sleep) lasted() (time.Duration, time.Time) { return max(0, s.until.Sub(s.since)), s.until }
