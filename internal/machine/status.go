package machine

import "time"

// Tally counts what happened to one machine. It only ever grows.
type Tally struct {
	Attempts       uint64                // magic packets sent
	Wakes          [len(Triggers)]uint64 // wakes begun, by trigger
	Failures       [len(Triggers)]uint64 // wakes given up after the last attempt, by trigger
	ExternalStarts uint64                // external starts: not by a wake of ours
	Conflicts      uint64                // another host used one of its addresses
	SettleTimeouts uint64                // it never fell silent within probe.timeout
	Slept          time.Duration         // asleep, in all sleeps that have ended
	SavedJoules    float64               // saved in those, an estimate
}

// Status is what can be told of a machine at one moment. Its slices are never
// changed after it was made, so that it may be shared.
type Status struct {
	Spec
	State     State
	Since     time.Time // when State was entered
	Why       Reason    // State was entered; empty where that was before a restart
	Heard     time.Time // the last frame of the machine
	Watched   bool      // it is asked whether it is there
	RetryAt   time.Time // no knock wakes before; zero: the last wakes did not fail
	LastWake  LastWake
	Unready   []Service // that were not ready when LastWake ended; not known after a restart
	Tally     Tally
	SleepLog  SleepLog // the sleeps that have ended; SleptDays tells of all
	Knocks    Knocks
	Packets   Packets
	Addresses []AddressStatus // in the order of Monitor

	Suppressed [len(Suppressions)]uint64 // packets that did not wake it, by reason
	Ignored    []Ignored                 // of these the last ones, the latest first

	Arrival     Arrival       // in Arriving; the porter fills it in
	PausedUntil time.Time     // zero: it is not paused
	Registered  time.Time     // when it registered last; zero if it never did
	Counted     time.Time     // since when Tally counts; zero if that is not known
	WakeTimeout time.Duration // see Policy
	Inquiry     Inquiry       // in Awake
}

// Packets counts what was kept for a machine until it could take it. It only
// ever grows.
type Packets struct {
	Held     uint64 // kept, each packet once
	Replayed uint64 // sent to the machine
	Dropped  uint64 // lost: there was no room, or the wake failed; not a SYN that was not repeated
}

// Slept returns how long the machine has slept by now, the present sleep
// included.
func (s *Status) Slept(now time.Time) time.Duration {
	return s.Tally.Slept + s.sleeping(now)
}

// SavedJoules estimates the energy saved by now, in joules: each second of
// sleep saves the difference between idle and sleep power.
func (s *Status) SavedJoules(now time.Time) float64 {
	return s.Tally.SavedJoules + s.saving(s.sleeping(now))
}

func (s *Status) sleeping(now time.Time) time.Duration {
	if s.State != Asleep {
		return 0
	}
	return max(0, now.Sub(s.Since))
}

func (s *Spec) saving(slept time.Duration) float64 {
	return slept.Seconds() * max(0, s.IdleWatts-s.SleepWatts)
}
