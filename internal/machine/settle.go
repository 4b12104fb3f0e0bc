package machine

import (
	"slices"
	"time"
)

// listening counts how many probes in a row a machine left without a word.
type listening struct {
	probed bool // a probe is out
	heard  bool // it spoke since that probe
	misses int

	// What tells a machine from its network card.
	questioned bool      // it is asked what a card does not answer, and answers are not heard
	answered   bool      // there were answers since that probe
	spoke      bool      // there was something else
	mere       bool      // before that probe there were answers alone
	silent     int       // probes in a row without so much as an answer
	proved     time.Time // when something else came last, or we began to listen
	answeredAt time.Time
}

// count closes the time since the last probe.
func (l *listening) count() {
	switch {
	case l.heard:
		l.misses, l.silent = 0, 0
	case !l.probed:
	case l.answered:
		l.misses, l.silent = l.misses+1, 0
	default:
		l.misses, l.silent = l.misses+1, l.silent+1
	}
	l.mere = l.answered && !l.spoke
	l.heard, l.answered, l.spoke = false, false, false
}

// settling is what is known while we find out whether a machine is off.
type settling struct {
	listening
	afterSleep  bool // it was asleep already, and spoke
	unannounced bool // it never said that it would sleep, and answers no more
	up          bool // it spoke for one of its addresses, and did not only answer
	resumed     bool // it was being woken when the porter was last there
	lastHeard   time.Time
	nextProbe   time.Time
	asleep      slumber   // when the porter was last there
	woken       time.Time // a magic packet may have reached it then
}

// enterSettling makes the first probe due. It goes out with the next tick and not
// with this event: whoever watches for the answer has to know of the machine
// first. change is applied after the account of the old state was closed.
func (m *Machine) enterSettling(now time.Time, why Reason, afterSleep bool, change func()) {
	m.move(now, Settling, why)
	if change != nil {
		change()
	}
	m.settling = settling{listening: listening{proved: now}, afterSleep: afterSleep, lastHeard: now, nextProbe: now}
}

// heardSettling resets the count. A machine that registered may go on speaking
// until probe.timeout, it is shutting down. One that was asleep has one silence
// to show that the frame was a late one; who still speaks for an address then
// was started by hand, unless it only answers: then it is questioned.
func (m *Machine) heardSettling(now time.Time, e Heard, up bool) {
	s := &m.settling
	s.heard, s.lastHeard, s.up = true, now, s.up || up && !e.Answer
	m.endSlumber(now)
	if s.unannounced {
		m.thereAfterAll(now)
		return
	}
	if m.joinArrival(now) {
		return
	}
	switch {
	case !s.afterSleep || !up || now.Sub(m.since) < m.policy.startSilence():
	case e.Answer:
		s.question(now)
	default:
		m.startedByHand(now)
	}
}

// joinArrival takes a machine that speaks although we did not wake it, and that
// somebody knocks at, for one that starts by hand: whoever waits for its services
// is to be let in like after a wake.
func (m *Machine) joinArrival(now time.Time) bool {
	s := &m.settling
	if m.state != Settling || !s.afterSleep || m.pending == nil || len(m.pending.services) == 0 || len(m.kept) == 0 {
		return false
	}
	if !s.up {
		if !s.answeredAt.IsZero() {
			s.question(now) // nobody is to wait on the word of a network card
		}
		return false
	}
	m.wake, m.pending = *m.pending, nil
	m.wake.attempts, m.wake.firstMagic = 0, now
	m.claimed, m.owed = slices.Clone(m.kept), owed{telling: m.owed.telling}
	m.enterArriving(now)
	m.hush() // who waits must not hear of the machine
	return true
}

// starting reports whether the machine may be in the middle of a start, where a
// claim has to wait for a longer silence.
func (s *settling) starting() bool { return s.afterSleep || s.unannounced }

// waiting reports whether the machine has said nothing since it began to settle,
// so that it goes on for as long as we cannot ask.
func (s *settling) waiting() bool { return s.unannounced || s.asleep.known() }

func (m *Machine) tickSettling(now time.Time) {
	s := &m.settling
	s.count()
	interval, misses := m.policy.ProbeInterval, m.policy.ProbeMisses
	if s.asleep.known() {
		interval, misses = min(interval, slumberInterval), slumberMisses
	}
	if s.misses >= misses && (!s.starting() || now.Sub(s.lastHeard) >= m.policy.startSilence()) &&
		(s.woken.IsZero() || now.Sub(s.woken) >= m.policy.startSilence()) && m.settled(now, misses) {
		return
	}
	// Who is silent at this moment may yet turn out to be off.
	if s.misses == 0 && !s.waiting() && now.Sub(m.since) >= m.policy.ProbeTimeout && !m.doubts(now, &s.listening) {
		m.giveUpSettling(now)
		return
	}
	// The last question before the claim goes to everybody.
	m.probe(Probe{Addrs: m.spec.Addrs(), Broadcast: s.misses >= misses-1}, m.questions(&s.listening))
	s.probed = true
	s.nextProbe = now.Add(interval)
}

func (m *Machine) fallAsleep(now time.Time, why Reason) {
	since := m.settling.asleep.since
	m.move(now, Asleep, why)
	if !since.IsZero() {
		m.since = earlier(since, now) // it slept on
		m.claimUnsaid()
	} else {
		m.claim()
	}
	m.claimAt = now
	if w := m.pending; w != nil {
		m.pending = nil
		m.beginWake(now, *w)
	}
}

func (m *Machine) giveUpSettling(now time.Time) {
	if m.settling.afterSleep {
		m.startedByHand(now)
		return
	}
	m.tally.SettleTimeouts++
	m.pending = nil
	m.move(now, Awake, WhyNeverSilent)
	m.partTold()
}

func (m *Machine) startedByHand(now time.Time) {
	if !m.settling.resumed { // else we may have woken it ourselves
		m.tally.ExternalStarts++
	}
	m.pending = nil
	m.move(now, Awake, WhyStarted)
	m.partTold()
	m.keepVigil(now)
}
