package machine

import "time"

// Tally has the counters of one machine. They only grow.
type Tally struct {
	Attempts       uint64                // magic packets sent
	Wakes          [len(Triggers)]uint64 // wakes begun, by trigger
	Failures       [len(Triggers)]uint64 // wakes given up after the last attempt, by trigger
	ExternalStarts uint64                // starts without a wake by the porter
	Conflicts      uint64                // times that another host used one of its addresses
	SettleTimeouts uint64                // times that it did not fall silent within probe.timeout
	Slept          time.Duration         // duration of all sleeps that have ended
	SavedJoules    float64               // estimated for those sleeps
}

// Status is a snapshot of a machine. Its slices are never changed, so it may be shared.
type Status struct {
	Spec
	State     State
	Since     time.Time // when State was entered
	Why       Reason    // why State was entered; empty if that was before a restart
	Heard     time.Time // time of the machine's last frame
	Watched   bool      // the machine is probed while it is awake
	RetryAt   time.Time // no knock wakes before; zero: no limit
	LastWake  LastWake
	Unready   []Service // services that were not ready when LastWake ended; empty after a restart
	Tally     Tally
	SleepLog  SleepLog // sleeps that have ended; SleptDays includes the present one
	Knocks    Knocks
	Packets   Packets
	Addresses []AddressStatus // in the order of Monitor

	Suppressed [len(Suppressions)]uint64 // packets that did not wake the machine, by reason
	Ignored    []Ignored                 // the last suppressed packets, the latest first

	Arrival     Arrival       // in Arriving; the porter fills it in
	PausedUntil time.Time     // end of the pause; zero: none
	Registered  time.Time     // last registration; zero: never
	Counted     time.Time     // since when Tally counts; zero: not known
	WakeTimeout time.Duration // see Policy
	Inquiry     Inquiry       // in Awake
}

// Inquiry is whether a machine that counts as awake has answered since a wake was
// requested.
type Inquiry string

// The inquiries. NoInquiry holds before a request, in other states than Awake, and for a
// machine that cannot be probed.
const (
	NoInquiry       Inquiry = ""
	InquiryOpen     Inquiry = "open"     // the machine is probed, and woken if it stays silent
	InquiryAnswered Inquiry = "answered" // the machine is up
)

// Arrival is what the arrival of a machine waits for. It is zero in other states than
// Arriving.
type Arrival struct {
	Since    time.Time // first proof of life
	Until    time.Time // time of the handover if services are not ready
	Idle     time.Time // the same if no client retries; no later than Until
	NotReady []Service // empty: only the use of its addresses is awaited
}

// Packets counts the held packets of a machine. The counters only grow.
type Packets struct {
	Held     uint64 // each packet counts once
	Replayed uint64 // sent to the machine
	Dropped  uint64 // no room, or the wake failed; without SYNs that their client did not repeat
}

// Slept returns how long the machine has slept, including the present sleep.
func (s *Status) Slept(now time.Time) time.Duration {
	return s.Tally.Slept + s.sleeping(now)
}

// SavedJoules returns the estimated saved energy in joules, including the present sleep:
// each second of sleep saves the difference between idle and sleep power.
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
