package machine

import (
	"net/netip"
	"time"
)

// Some network cards answer ARP requests and neighbour solicitations while their
// machine sleeps (ARP and NS offload), so that neither has to wake it. Such a
// machine never falls silent, and what gives it away is that it does nothing
// else: it answers no ping and no SYN, and asks nobody anything.

// Question asks the machine's own MAC for what only an operating system answers:
// an echo reply for each of the addresses, and a word from each TCP service there.
// It goes out beside a Probe, and never to a machine that may just be shutting
// down, since there are cards that wake their machine for any unicast packet.
type Question struct{ Addrs []netip.Addr }

func (Question) action() {}

// CardAnswers reports whether the machine is known for a network card that
// answers while it sleeps, and is to be claimed all the same. Its answers then
// say nothing about it.
func (m *Machine) CardAnswers() bool { return m.card && m.policy.OverrideOffload }

// probe asks the machine whether it is there; questioned also in a way that a
// network card does not answer.
func (m *Machine) probe(p Probe, questioned bool) {
	m.do(p)
	if questioned {
		m.do(Question{Addrs: p.Addrs})
	}
}

// listener returns how the machine is listened to in its present state.
func (m *Machine) listener() *listening {
	if m.state == Settling {
		return &m.settling.listening
	}
	return &m.vigil.listening
}

// mere notes what kind of frame came from the machine, and reports whether it is
// to be taken for its network card's.
func (m *Machine) mere(now time.Time, e Heard) bool {
	l := m.listener()
	if !e.Answer {
		l.spoke, l.proved = true, now
		return false
	}
	l.answered, l.answeredAt = true, now
	return m.questions(l)
}

// questions reports whether answers count for nothing, because the machine is
// asked what its network card does not answer.
func (m *Machine) questions(l *listening) bool { return l.questioned || m.CardAnswers() }

// doubts reports whether a machine that is heard may yet sleep behind its network
// card: it gave nothing but answers lately. When it has not done anything else
// for as long as a start may pause, it is questioned.
func (m *Machine) doubts(now time.Time, l *listening) bool {
	switch {
	case m.questions(l):
		return l.misses > 0
	case !l.mere:
		return false
	}
	l.questioned = now.Sub(l.proved) >= m.policy.startSilence()
	return true
}

// question has a settling machine questioned from this moment on.
func (s *settling) question(now time.Time) {
	if !s.questioned {
		s.questioned, s.nextProbe = true, now
	}
}

// settled ends the settling of a machine that has shown no operating system in so
// many probes in a row, unless it is still open whether it is silent or its
// network card answers.
func (m *Machine) settled(now time.Time, misses int) bool {
	s := &m.settling
	pause := s.afterSleep && now.Sub(s.answeredAt) < m.policy.startSilence()
	switch {
	case s.silent >= misses && !pause:
		m.fallAsleep(now, WhySilent)
	case m.CardAnswers():
		m.fallAsleep(now, WhyOnlyCard)
	case s.silent > 0:
		return false // it has just stopped: perhaps that was the machine itself
	default:
		m.foundCard(now)
	}
	return true
}

// foundCard takes note that the machine sleeps behind a network card that answers.
func (m *Machine) foundCard(now time.Time) {
	m.card = true
	if m.policy.OverrideOffload {
		m.fallAsleep(now, WhyOnlyCard)
		return
	}
	m.tally.SettleTimeouts++
	m.pending = nil
	m.move(now, Awake, WhyOnlyCard)
	m.partTold()
}
