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
	LastWake   LastWake
	Tally      Tally
	Diary      Diary
	Knocks     Knocks
	Card       bool         // its network card answers while it sleeps
	Heard      time.Time    // when a frame of it was heard last
	Unproved   []netip.Addr // addresses that it has never answered for: not claimed before it does
	Others     []netip.Addr // addresses it spoke from that it did not register
	Failures   int          // wakes in a row that brought no frame
}

// Memory returns what has to be known of the machine.
func (m *Machine) Memory() Memory {
	mem := Memory{
		Spec: m.spec, State: m.state, Since: m.since, LastWake: m.lastWake, Registered: m.registered, Tally: m.tally,
		Diary: m.diary, Knocks: m.knocks, Card: m.card,
	}
	if s := m.settling.asleep; m.state == Settling && s.known() {
		mem.State, mem.Since = Asleep, s.since // nothing is known to have ended it
	}
	return mem
}

// HasRegistered reports whether the machine ever did, also before a restart.
func (m *Machine) HasRegistered() bool { return !m.registered.IsZero() }

// slumber is a sleep that the porter did not see the whole of.
type slumber struct {
	since time.Time // when it began
	until time.Time // it lasted no longer, if it had ended
}

func (s slumber) known() bool { return !s.since.IsZero() }

// A machine that slept when the porter was last there is looked for quickly: it
// is hardly just shutting down, and its clients wait for somebody to answer.
const (
	slumberMisses   = 3
	slumberInterval = 300 * time.Millisecond
)

// Resume returns the machine that mem tells of, which was true until then at the
// latest. One that was asleep is looked for before it is claimed again, since it
// may have been started meanwhile; while it is silent, its sleep has gone on. A
// wake that was under way has come to its end without us, one way or the other.
// Nothing of what mem tells is taken to be later than now.
func Resume(mem Memory, policy Policy, until, now time.Time) *Machine {
	m := &Machine{
		spec: mem.Spec, policy: policy, state: mem.State, since: notAfter(mem.Since, now),
		lastWake: mem.LastWake, registered: notAfter(mem.Registered, now), tally: mem.Tally, diary: mem.Diary,
		knocks: mem.Knocks.among(mem.Spec.Ports()), card: mem.Card,
	}
	m.lastWake.At = notAfter(m.lastWake.At, now)
	if m.lastWake.Outcome == UnderWay {
		m.lastWake.Outcome = Over
	}
	if mem.State == Awake {
		return m
	}
	m.state, m.settling = Settling, settling{listening: listening{proved: now}, lastHeard: now, nextProbe: now}
	m.settling.unannounced = mem.State == Settling && mem.Spec.Agentless
	switch mem.State {
	case Asleep:
		m.settling.asleep = slumber{since: m.since, until: notAfter(until, now)}
		m.since = now
	case Settling:
		m.settling.woken = now // perhaps the moment before the porter ended
	case Waking, Arriving:
		m.since = now
		m.settling.afterSleep, m.settling.resumed = true, true // it may be testing its addresses
	}
	return m
}

// endSlumber closes the account of a sleep that ended while we were away: who
// speaks does not sleep any more, or has just been woken. When it ended nobody
// knows, and it counts as long as it may have been shown: a total that were less
// after a restart would be taken for one that began anew at 0, and be counted twice.
func (m *Machine) endSlumber(now time.Time) {
	s := m.settling.asleep
	if !s.known() {
		return
	}
	m.account(max(0, s.until.Sub(s.since)), OnClock(s.until, now).In(now.Location()))
	m.since = now
	m.settling.asleep, m.settling.afterSleep = slumber{}, true
}
