package machine

import (
	"encoding/binary"
	"time"
)

// An agentless machine does not say that it will sleep. While it is awake it is
// asked now and then whether it is there. When it leaves some questions in a row
// without an answer it settles, as if it had registered, but so that its first
// word has it awake again: nothing says that it wants to sleep.

// watchPace is how many times probe.interval an agentless machine is left alone
// after it was heard.
const watchPace = 5

// entrust begins or ends to look after a machine.
func (m *Machine) entrust(now time.Time, agentless bool) {
	m.spec.Agentless = agentless
	switch {
	case m.state == Settling && !m.settling.probed: // it is here from before a restart
		m.settling.lastHeard, m.settling.nextProbe = now, now
	case m.state != Awake:
	case agentless:
		m.lookAfter(now)
	case m.watches():
		m.vigil, m.pending = vigil{}, nil
	}
}

// lookAfter begins the vigil of an agentless machine. Of many machines each has
// its first question at another moment, spread over the time between two, and
// where they answer it stays like that.
func (m *Machine) lookAfter(now time.Time) {
	if m.spec.Agentless {
		m.vigil = vigil{listening: listening{proved: now}, nextProbe: now.Add(m.share(m.watchPause())), lastHeard: now}
	}
}

func (m *Machine) watchPause() time.Duration { return watchPace * m.policy.ProbeInterval }

// share returns a part of d that is the machine's own. A multiple of the golden
// ratio spreads numbers evenly that follow each other, as MACs of one maker do.
func (m *Machine) share(d time.Duration) time.Duration {
	const golden = 2654435769 // 2^32 divided by the golden ratio
	own := binary.BigEndian.Uint32(m.spec.MAC[2:]) * golden
	return time.Duration(float64(d) * float64(own) / (1 << 32))
}

// heardAwake notes that the machine is there, and puts off the next question to
// an agentless one.
func (m *Machine) heardAwake(now time.Time) {
	m.putOff(now)
	if m.watches() {
		m.pending = nil // it was up when it was asked for
	}
}

// putOff begins the silence of an awake machine anew.
func (m *Machine) putOff(now time.Time) {
	m.vigil.heard, m.vigil.lastHeard = true, now
	if m.watches() {
		m.vigil.nextProbe = now.Add(m.watchPause())
	}
}

// watches reports whether an awake machine is looked after without end.
func (m *Machine) watches() bool { return m.vigil.on() && m.vigil.until.IsZero() }

// hurry has an agentless machine asked at once: somebody thinks that it sleeps. If
// so it is perhaps starting from now on.
func (m *Machine) hurry(now time.Time) {
	if m.watches() {
		m.vigil.nextProbe, m.vigil.lastHeard = now, now
	}
}

// hasten keeps an agentless machine from waiting for longer than the policy says
// by now.
func (m *Machine) hasten(now time.Time) {
	if m.watches() {
		m.vigil.nextProbe = earlier(m.vigil.nextProbe, now.Add(m.share(m.watchPause())))
	}
}

// fallSilent has an agentless machine settle. It may be starting anew, and about to
// test its addresses, so it counts from its last word.
func (m *Machine) fallSilent(now time.Time) {
	heard := m.vigil.lastHeard
	m.enterSettling(now, WhyUnanswered, false, nil)
	m.settling.unannounced, m.settling.lastHeard = true, heard
}

// thereAfterAll ends the doubt: whatever the machine said, it is no start and no
// failure to fall asleep.
func (m *Machine) thereAfterAll(now time.Time) {
	m.pending = nil
	m.move(now, Awake, WhyThere)
	m.partTold()
	m.heardAwake(now)
}

// unprobed has the silence after the last question count for nothing.
func (m *Machine) unprobed(now time.Time) {
	l := m.listener()
	l.spoke, l.proved = true, now
	switch m.state {
	case Awake:
		m.putOff(now)
	case Settling:
		m.settling.heard, m.settling.lastHeard = true, now
	case Arriving:
		m.wake.lastHeard = now
	}
}
