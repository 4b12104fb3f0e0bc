package machine

import "time"

// vigil looks after a machine that is awake, but said a short while ago that it
// would sleep. What passes for a start by hand can be a pause in a long
// shutdown: hibernation stops the network, takes its picture, and speaks on
// while it writes that to the disk. That of an agentless machine has no end.
type vigil struct {
	listening
	until     time.Time // zero: for ever
	nextProbe time.Time
	lastHeard time.Time // of an agentless machine
}

func (v *vigil) on() bool { return !v.nextProbe.IsZero() }

// keepVigil watches the machine until probe.timeout after its registration.
func (m *Machine) keepVigil(now time.Time) {
	if m.spec.Agentless {
		return // it is watched anyway
	}
	if until := m.registered.Add(m.policy.ProbeTimeout); !m.registered.IsZero() && now.Before(until) {
		m.vigil = vigil{listening: listening{proved: now}, until: until, nextProbe: now}
	}
}

// tickVigil probes. A machine that falls silent settles once more.
func (m *Machine) tickVigil(now time.Time) {
	v := &m.vigil
	v.count()
	if v.misses >= m.policy.ProbeMisses {
		if m.watches() {
			m.fallSilent(now)
			return
		}
		m.enterSettling(now, WhySilentAgain, true, nil)
		return
	}
	if !m.watches() && !now.Before(v.until) && !m.doubts(now, &v.listening) {
		m.vigil, m.pending = vigil{}, nil
		return
	}
	m.probe(Probe{Addrs: m.spec.Addrs()}, m.questions(&v.listening))
	v.probed = true
	v.nextProbe = now.Add(m.policy.ProbeInterval)
}

// Watched reports whether anything the machine says matters: always, but for
// one that is awake, whose addresses the LAN knows, and that is not expected to
// fall silent, unless it has to prove that not only its network card answers.
func (m *Machine) Watched() bool {
	return m.state != Awake || !m.owed.next().IsZero() || m.vigil.on() && (!m.watches() || m.CardAnswers())
}

// Attended reports whether it matters what the machine says by ARP or neighbour
// discovery: of one that is watched, and of an agentless one at any time.
func (m *Machine) Attended() bool { return m.Watched() || m.vigil.on() }
