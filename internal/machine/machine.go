package machine

import (
	"net/netip"
	"time"
)

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

// Pace returns how long to wait with the next question to a machine that is
// awaited since waited: an 800th of that, so that we notice hardly later than it
// takes anyway, but no less than 5 ms or fastest, and no more than slowest.
func Pace(waited, fastest, slowest time.Duration) time.Duration {
	return min(max(waited/800, 5*time.Millisecond, fastest), slowest)
}

// Machine is one machine and where it is in its life. It is not safe for
// concurrent use.
type Machine struct {
	spec   Spec
	policy Policy
	tally  Tally

	state     State
	since     time.Time
	why       Reason // it came into the state; empty after a restart
	lastWake  LastWake
	unready   []Service // at its handover; not kept over a restart
	bootTimes BootTimes
	sleepLog  SleepLog
	knocks    Knocks

	addrs addresses

	presence   presence
	blindUntil time.Time    // until then the silence of a machine that was awake proves nothing
	heard      time.Time    // when it was heard last
	otherAddrs []netip.Addr // addresses that it spoke from and did not register
	atOwn      time.Time    // last proof at an address of its own
	atOther    time.Time    // ... at another one, which is other
	other      netip.Addr
	upSince    time.Time // when it came up; for elsewhere
	flapsUntil time.Time // until then it may lose its network again
	tested     time.Time // when it tested an address last
	nicAnswers bool      // its network card or firmware answers while it sleeps

	elsewhere  bool      // it is up at another address, and that was reported
	permanent  bool      // the configuration knows it
	registered time.Time // when it registered last
	counted    time.Time // since when what it did is counted
	paused     time.Time // until then it is left alone; zero: it is not
	unpaused   time.Time // when the last pause ended

	kind     settlingKind // in Settling only
	sleep    sleep        // in Settling: that the porter did not see the end of
	reported time.Time    // when it was reported last that it spoke in its sleep
	repeats  bool         // this time it is not
	pending  *wake        // to begin as soon as the machine is surely off
	inquiry  Inquiry      // in Awake only
	wake     wake
	claimAt  time.Time     // of the present claim
	failures int           // wakes in a row that brought no frame
	retryAt  time.Time     // no knock wakes before
	pace     time.Duration // of questions while it is awaited, at the fastest

	actions []Action // collected while one event is handled
	changed bool     // what has to be stored did, although no action says so
	issued  issued   // what the porter does at present
}

// New returns a machine that is awake.
func New(spec Spec, policy Policy, now time.Time) *Machine {
	m := &Machine{spec: spec, policy: policy, state: Awake, since: now, counted: now}
	m.addrs.machine = m
	m.addrs.register(spec.Monitor)
	return m
}

// Status returns what can be told of the machine. It changes with Handle.
func (m *Machine) Status() Status {
	if m.sleep.known() { // what was shown of it stays shown
		c := *m
		c.account(c.sleep.lasted())
		m = &c
	}
	s := Status{Spec: m.spec, State: m.state, Since: m.since, LastWake: m.lastWake, SleepLog: m.sleepLog, Knocks: m.knocks, Tally: m.tally}
	s.Why, s.Heard, s.Watched, s.RetryAt = m.why, m.heard, !m.presence.next.IsZero(), m.retryAt
	s.PausedUntil, s.Registered, s.Counted, s.WakeTimeout = m.paused, m.registered, m.counted, m.policy.WakeTimeout
	s.Inquiry, s.Unready = m.inquiry, m.unready
	s.Addresses = make([]AddressStatus, len(m.addrs.all))
	for i := range m.addrs.all {
		s.Addresses[i] = m.addrs.all[i].status()
	}
	return s
}

// State returns the machine's present state.
func (m *Machine) State() State { return m.state }

// Spec returns what the machine said of itself last.
func (m *Machine) Spec() Spec { return m.spec }

// HasRegistered reports whether the machine ever did, also before a restart.
func (m *Machine) HasRegistered() bool { return !m.registered.IsZero() }

// Handle takes an event that happened now, and returns what follows from it,
// in the order in which it has to be done.
func (m *Machine) Handle(now time.Time, event Event) []Action {
	m.actions, m.changed = nil, false
	switch e := event.(type) {
	case Registered:
		m.registering().register(now, e)
	case Configured:
		m.watching().configure(now, e)
	case SpecChanged:
		m.changeSpec(now, e.Spec)
	case Renamed:
		m.spec.Name, m.changed = e.Name, true
	case Placed:
		m.placed(now, e.Places)
	case Heard:
		m.hear(now, e, false)
	case Answered:
		m.answered(now, e)
	case Visited:
		m.settling().visited(now)
	case ProbeFailed:
		m.presence.excuse(now)
	case ReceptionLost:
		m.watching().receptionLost(now, e)
	case Knocked:
		m.waking().knock(now, e)
	case WakeRequested:
		m.waking().requestWake(now, e)
	case Ticked:
		m.pace = e.Pace
		m.tick(now)
	case ServicesReady:
		m.waking().servicesReady(now, e)
	case Conflicted:
		m.conflict(now, e, false)
	case Contested:
		m.contested(now, e)
	case RecheckFailed:
		m.addrs.recheckFailed(now, e.Addr)
	case PauseRequested:
		m.pausing().begin(now, e)
	case ResumeRequested:
		m.pausing().end(now, e.By)
	case PolicyChanged:
		m.policy = e.Policy
		m.watching().adjustWatch(now)
	case Stopped:
		m.stop(now, e)
	}
	m.noteWakeOver()
	if _, stopped := event.(Stopped); !stopped {
		m.issuing().sync()
	}
	actions := m.actions
	m.actions = nil // not to be kept until the next event
	return actions
}

// Next returns when Ticked is due, or the zero time when nothing is.
func (m *Machine) Next() time.Time {
	w := &m.wake
	switch m.state {
	case Awake:
		return earliest(m.presence.next, m.addrs.nextReturn(), m.watching().nextForget(), m.paused)
	case Settling:
		return earliest(m.presence.next, m.addrs.nextReturn())
	case Asleep:
		return earliest(m.presence.next, m.addrs.nextRecheck(), m.addrs.nextAway(), m.watching().nextForget())
	case Waking:
		return earliest(w.nextMagic, m.presence.next)
	case Arriving:
		return m.presence.next
	default:
		return time.Time{}
	}
}

// placed takes in where the addresses can be claimed now. A machine that could not
// be asked before is asked.
func (m *Machine) placed(now time.Time, places []Place) {
	m.addrs.placed(now, places)
	switch {
	case m.state == Awake && m.presence.next.IsZero():
		m.watching().beginWatch(now)
	case m.state == Settling && m.presence.open.IsZero() && len(m.probedAddrs()) > 0:
		m.presence.next = now
	}
}

// earlier returns the earlier of two times, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		first = earlier(first, t)
	}
	return first
}

func (m *Machine) do(a Action) { m.actions = append(m.actions, a) }

func (m *Machine) tick(now time.Time) {
	if due := m.Next(); due.IsZero() || now.Before(due) {
		return
	}
	switch m.state {
	case Awake:
		m.watching().tickAwake(now)
	case Settling:
		m.addrs.tickReturns(now)
		m.settling().tickSettling(now)
	case Asleep:
		m.settling().probeAsleep(now)
		m.addrs.tickAway(now)
		m.addrs.tickRechecks(now)
		m.watching().tickForget(now)
	case Waking:
		m.waking().tickWaking(now)
	case Arriving:
		m.waking().tickArriving(now)
	}
}

// move changes the state.
func (m *Machine) move(now time.Time, to State, why Reason) { m.report(now, to, why, false) }

// report changes the state. With repeated the same was reported lately.
func (m *Machine) report(now time.Time, to State, why Reason, repeated bool) {
	after := now.Sub(m.since)
	if m.state == Asleep {
		m.account(after, now)
	}
	m.do(Moved{From: m.state, To: to, Why: why, After: after, Repeated: repeated})
	m.state, m.since, m.why, m.inquiry = to, now, why, NoInquiry
	if to == Asleep {
		m.presence.next = time.Time{} // some cards wake for any unicast frame
	}
	m.addrs.stopRechecks()
	if to == Awake {
		m.upSince = now
		m.watching().beginWatch(now)
	}
}

// account enters a sleep that ended then.
func (m *Machine) account(slept time.Duration, then time.Time) {
	m.tally.Slept += slept
	m.tally.SavedJoules += m.spec.saving(slept)
	m.sleepLog = m.sleepLog.with(slept, then)
}

// known reports whether anything says that the machine is here: it has registered, or
// need not.
func (m *Machine) known() bool { return m.spec.Agentless || m.HasRegistered() }

// stop ends everything.
func (m *Machine) stop(now time.Time, e Stopped) {
	m.addrs.returnAddresses(now)
	if m.state == Arriving || m.issued.hold == AdmitAll {
		m.do(Hold{Mode: AdmitAll})
	}
	m.addrs.endReturns()
	m.issued.hold = Ignore
	m.do(Hold{Mode: Ignore})
	m.presence = presence{}
	if e.Wake && (m.state == Settling || m.state == Asleep || m.state == Waking) {
		m.waking().magic(1, false)
	}
}
