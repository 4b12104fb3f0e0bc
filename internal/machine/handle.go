package machine

import "time"

// New returns a machine that is awake.
func New(spec Spec, policy Policy, now time.Time) *Machine {
	m := &Machine{spec: spec, policy: policy, state: Awake, since: now, counted: now}
	m.addrs.machine = m
	m.addrs.register(spec.Monitor)
	return m
}

// Handle handles an event that happened now. It returns the resulting actions in the
// order in which they have to be executed.
func (m *Machine) Handle(now time.Time, event Event) []Action {
	m.actions, m.changed = nil, false
	switch e := event.(type) {
	case Registered:
		m.registering().register(now, e)
	case Configured:
		m.watching().configure(now, e)
	case SpecChanged:
		m.registering().changeSpec(now, e.Spec)
	case Renamed:
		m.spec.Name, m.changed = e.Name, true
	case Placed:
		m.placed(now, e.Places)
	case Heard:
		m.receiving().hear(now, e, false)
	case Answered:
		m.receiving().answered(now, e)
	case Visited:
		m.settling().visited()
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
	m.waking().noteWakeOver()
	if _, stopped := event.(Stopped); !stopped {
		m.issuing().sync()
	}
	actions := m.actions
	m.actions = nil // must not last until the next event
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

// placed stores where the addresses can be claimed. A machine that could not be probed
// before is probed.
func (m *Machine) placed(now time.Time, places []Place) {
	m.addrs.placed(now, places)
	switch {
	case m.state == Awake && m.presence.next.IsZero():
		m.watching().beginWatch(now)
	case m.state == Settling && m.presence.open.IsZero() && len(m.probedAddrs()) > 0:
		m.presence.next = now
	}
}

// stop releases everything: the porter ends.
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
