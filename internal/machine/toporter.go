package machine

import "slices"

// told is what the porter was last asked to do until further notice.
type told struct {
	hold    HoldMode
	observe Observe
	filter  FilterKnocks
}

// toPorter is what follows for the porter from the state that a machine is in.
type toPorter struct{ *Machine }

func (m *Machine) toPorter() toPorter { return toPorter{m} }

// sync has the porter do what the present state asks for, where that is not
// what it does already.
func (m toPorter) sync() {
	m.observe()
	fell, rests := m.Rests()
	if f := (FilterKnocks{Fell: fell, AtRest: rests}); f != m.told.filter {
		m.told.filter = f
		m.do(f)
	}
	if mode := m.holdMode(); mode != m.told.hold {
		m.told.hold = mode
		m.do(Hold{Mode: mode})
	}
	if m.changed || slices.ContainsFunc(m.actions, remembered) {
		m.do(Persist{})
	}
}

// observe tells the readers what to look out for.
func (m toPorter) observe() {
	if o := (Observe{Attention: m.attention(), IgnoreBare: m.CardAnswers(), Undefended: m.failures > 0, Doubtful: m.state == Asleep && !m.presence.next.IsZero()}); o != m.told.observe {
		m.told.observe = o
		m.do(o)
	}
}

// attention returns how closely the readers have to look. What passes between our
// own host and a machine that is awake may be a lot, and says nothing.
func (m toPorter) attention() Attention {
	switch {
	case m.state != Awake || !m.addrs.nextReturn().IsZero():
		return Observed
	case !m.known():
		return Unobserved
	case !m.presence.next.IsZero() && (m.CardAnswers() || m.presence.deep):
		return Observed
	}
	return Attended
}

func (m toPorter) holdMode() HoldMode {
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
func remembered(a Action) bool {
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
