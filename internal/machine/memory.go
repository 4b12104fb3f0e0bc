package machine

import (
	"net/netip"
	"slices"
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

// Memory returns what has to be known of the machine.
func (m *Machine) Memory() Memory {
	mem := Memory{
		Spec: m.spec, State: m.state, Since: m.since, LastWake: m.lastWake, Registered: m.registered, Heard: m.heard,
		BootTimes: m.bootTimes, Tally: m.tally, SleepLog: m.sleepLog, Knocks: m.knocks, NICAnswers: m.nicAnswers,
		Unproved: m.addrs.which(func(a *address) bool { return a.unproved }), OtherAddrs: m.otherAddrs, Failures: m.failures,
		Paused: m.paused, Counted: m.counted,
	}
	if m.state == Settling {
		mem.State = stateBefore[m.kind]
	}
	if m.sleep.known() {
		mem.Since = m.sleep.since // nothing is known to have ended it
	}
	return mem
}

// before is what a machine that settles was last known to be.
var stateBefore = [...]State{bySaid: Settling, bySilence: Awake, byFrame: Asleep, byRestart: Asleep, byRestartInWake: Waking, byFlap: Awake}

// sleep is one that the porter did not see the end of.
type sleep struct {
	since time.Time // when it began
	until time.Time // it lasted no longer, if it had ended
}

func (s sleep) known() bool { return !s.since.IsZero() }

// lasted returns how long it lasted for sure, and until when.
func (s sleep) lasted() (time.Duration, time.Time) { return max(0, s.until.Sub(s.since)), s.until }

// Restore returns the machine that mem tells of, which was true until then at the
// latest. One that was asleep is asked before it is claimed again, since it may
// have been started meanwhile; while it is silent, its sleep has gone on. A wake
// that was under way has come to its end without us, one way or the other. Nothing
// of what mem tells is taken to be later than now.
func Restore(mem Memory, policy Policy, until, now time.Time) *Machine {
	m := &Machine{
		spec: mem.Spec, policy: policy, state: mem.State, since: notAfter(mem.Since, now),
		lastWake: mem.LastWake, registered: notAfter(mem.Registered, now), heard: notAfter(mem.Heard, now), tally: mem.Tally,
		sleepLog: mem.SleepLog, knocks: mem.Knocks.among(mem.Spec.Ports()), nicAnswers: mem.NICAnswers, otherAddrs: mem.OtherAddrs,
		bootTimes: mem.BootTimes, failures: mem.Failures, paused: mem.Paused, counted: notAfter(mem.Counted, now),
	}
	m.addrs.machine = m
	m.addrs.register(mem.Spec.Monitor)
	for i := range m.addrs.all {
		a := &m.addrs.all[i]
		a.unproved = slices.Contains(mem.Unproved, a.IP)
		a.answered = !a.unproved
	}
	m.lastWake.At = notAfter(m.lastWake.At, now)
	if m.lastWake.Outcome == UnderWay {
		m.lastWake.Outcome = Over
	}
	until = notAfter(until, now)
	if m.heard.IsZero() || mem.State == Awake && until.After(m.heard) {
		m.heard = until // a machine that was awake answered until then
	}
	if mem.State == Awake || mem.State == Arriving || mem.State == Settling && mem.Spec.Agentless { // as far as is known it is up
		m.state, m.upSince = Awake, now
		m.watching().beginWatch(now)
		return m
	}
	m.state, m.presence = Settling, doubt(now)
	switch mem.State {
	case Asleep:
		m.kind, m.sleep = byRestart, sleep{since: m.since, until: until.In(now.Location())}
		m.since = now
	case Settling:
		m.kind = bySaid
	case Waking:
		m.kind, m.since = byRestartInWake, now
	}
	return m
}

// endSleep closes the account of a sleep that ended while we were away. When it
// ended is not known, and it counts as long as it may have been shown: a total that
// is less after a restart is taken for one that began anew at 0, and counted twice.
func (m *Machine) endSleep(now time.Time) {
	if !m.sleep.known() {
		return
	}
	slept, until := m.sleep.lasted()
	m.account(slept, OnClock(until, now))
	m.since, m.sleep = now, sleep{}
}
