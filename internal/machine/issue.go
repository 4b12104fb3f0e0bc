package machine

import "slices"

// sync has the porter do what the present state asks for, where that is not
// what it does already.
func (m issuing) sync() {
	m.observe()
	fell, rests := m.AtRest()
	if f := (FilterKnocks{AsleepSince: fell, AtRest: rests}); f != m.issued.filter {
		m.issued.filter = f
		m.do(f)
	}
	if mode := m.holdMode(); mode != m.issued.hold {
		m.issued.hold = mode
		m.do(Hold{Mode: mode})
	}
	if m.changed || slices.ContainsFunc(m.actions, changesMemory) {
		m.do(Persist{})
	}
}

// observe tells the readers what to look out for.
func (m issuing) observe() {
	if o := (Observe{Attention: m.attention(), IgnoreBare: m.NICAnswers(), Undefended: m.failures > 0, Doubtful: m.state == Asleep && !m.presence.next.IsZero()}); o != m.issued.observe {
		m.issued.observe = o
		m.do(o)
	}
}

// attention returns how closely the readers have to look. What passes between our
// own host and a machine that is awake may be a lot, and says nothing.
func (m issuing) attention() Attention {
	switch {
	case m.state != Awake || !m.addrs.nextReturn().IsZero():
		return ObserveAll
	case !m.known():
		return ObserveNothing
	case !m.presence.next.IsZero() && (m.NICAnswers() || m.presence.needSystem):
		return ObserveAll
	}
	return ObserveNeighbor
}

func (m issuing) holdMode() HoldMode {
	switch {
	case m.state == Arriving:
		return HoldUnready
	case m.state != Awake:
		return HoldAll
	case m.known() || len(m.Guarded()) > 0:
		return AdmitAll // clients may still send to us, also hours later
	}
	return Ignore
}

// remembered reports whether an action changes the machine's Memory, or is told to those who
// follow its events.
func changesMemory(a Action) bool {
	switch a := a.(type) {
	case Moved:
		return !a.Repeated
	case WakeBegan, MagicRequested, WakeFailed, WatchBegan, ConflictSeen, ConflictOver, Elsewhere, AddressWaits, PauseBegan, PauseEnded, ServiceReady:
		return true
	case SendMagic:
		return !a.Repeated
	}
	return false
}
