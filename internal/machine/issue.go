package machine

import "slices"

// sync issues the standing actions (Observe, FilterKnocks, Hold) that changed with the
// state, and Persist.
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

// observe issues Observe if it changed.
func (m issuing) observe() {
	if o := (Observe{Attention: m.attention(), IgnoreBare: m.NICAnswers(), Undefended: m.failures > 0, Doubtful: m.state == Asleep && !m.presence.next.IsZero()}); o != m.issued.observe {
		m.issued.observe = o
		m.do(o)
	}
}

// attention returns how closely the readers observe the machine. Traffic between the
// porter's host and an awake machine is not read: it may be a lot, and proves nothing.
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
		return AdmitAll // clients may still send to the porter, even hours later
	}
	return Ignore
}

// changesMemory reports whether an action changes the Memory or is an event of the
// journal.
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
