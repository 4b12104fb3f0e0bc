package machine

import "time"

// Tally counts what happened to one machine. It only grows.
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

// Status is a snapshot of a machine. Its slices are never changed after it was made,
// so it may be shared.
type Status struct {
	Spec
	State     State
	Since     time.Time // when State was entered
	Why       Reason    // State was entered; empty where that was before a restart
	Heard     time.Time // the last frame of the machine
	Watched   bool      // it is probed while it is awake
	RetryAt   time.Time // no knock wakes before; zero: the last wakes did not fail
	LastWake  LastWake
	Unready   []Service // that were not ready when LastWake ended; not known after a restart
	Tally     Tally
	SleepLog  SleepLog // of the sleeps that have ended; SleptDays includes the present one
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

// Inquiry is whether a machine that counts as awake has answered since a wake was
// requested.
type Inquiry string

// The inquiries. There is none before a request, in another state than Awake, and for a
// machine that cannot be probed.
const (
	NoInquiry       Inquiry = ""
	InquiryOpen     Inquiry = "open"     // it is probed: if it stays silent it is woken
	InquiryAnswered Inquiry = "answered" // it is up
)

// Arrival is what the arrival of a machine waits for. The zero Arrival is that of a
// machine in another state.
type Arrival struct {
	Since    time.Time // it answers
	Until    time.Time // it is handed over then, whatever is ready
	Idle     time.Time // the same if no client tries again; no later than Until
	NotReady []Service // empty: only the use of its addresses is awaited
}

// Packets counts the held packets of a machine. It only grows.
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

// SleptDays returns how long the machine slept on each of the last days, including the
// present sleep: oldest first, the last is the day of now.
func (s *Status) SleptDays(now time.Time) (days [Week]Day) {
	d := s.SleepLog.with(s.sleeping(now), now)
	for i := range days {
		days[i].Date = dateOf(now, Week-1-i)
		if at, found := d.find(days[i].Date); found {
			days[i].Slept = d[at].Slept
		}
	}
	return days
}
