package machine

import (
	"slices"
	"time"
)

// Status returns a snapshot of the machine. Handle changes it.
func (m *Machine) Status() Status {
	if m.sleep.known() { // totals that were shown must not fall
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

// Arrival returns what the arrival of the machine waits for.
func (m *Machine) Arrival(now time.Time) Arrival {
	if m.state != Arriving {
		return Arrival{}
	}
	return Arrival{Since: m.wake.arrived, Until: m.waking().arrivalDeadline(now), Idle: m.waking().idleDeadline(now), NotReady: m.waking().notReady()}
}

// Memory returns what has to be stored to restore the machine.
func (m *Machine) Memory() Memory {
	mem := Memory{
		Spec: m.spec, State: m.state, Since: m.since, LastWake: m.lastWake, Registered: m.registered, Heard: m.heard,
		BootTimes: m.bootTimes, Tally: m.tally, SleepLog: m.sleepLog, Knocks: m.knocks, NICAnswers: m.nicAnswers,
		Unproved: m.addrs.which(func(a *address) bool { return a.unproved }), OtherAddrs: m.otherAddrs, Failures: m.failures,
		Paused: m.paused, Counted: m.counted,
	}
	if m.state == Settling {
		mem.State = stateBefore[m.kind]
	}
	if m.sleep.known() {
		mem.Since = m.sleep.since // no end of it is known
	}
	return mem
}

// Restore returns the machine of mem, which was last written at until. A machine that
// slept is probed before it is claimed again, since it may have been started
// meanwhile; while it is silent its sleep continues. A wake that was under way is
// over. Times later than now count as now.
func Restore(mem Memory, policy Policy, until, now time.Time) *Machine {
	m := &Machine{
		spec: mem.Spec, policy: policy, state: mem.State, since: notAfter(mem.Since, now),
		lastWake: mem.LastWake, registered: notAfter(mem.Registered, now), heard: notAfter(mem.Heard, now), tally: mem.Tally,
		sleepLog: mem.SleepLog, knocks: mem.Knocks.among(mem.Spec.Ports()), nicAnswers: mem.NICAnswers, otherAddrs: mem.OtherAddrs,
		bootTimes: mem.BootTimes, failures: mem.Failures, paused: mem.Paused, counted: notAfter(mem.Counted, now),
	}
	m.addrs.machine = m
	m.addrs.register(mem.Spec.Monitor)
	for i := range m.addrs.all {
		a := &m.addrs.all[i]
		a.unproved = slices.Contains(mem.Unproved, a.IP)
		a.answered = !a.unproved
	}
	m.lastWake.At = notAfter(m.lastWake.At, now)
	if m.lastWake.Outcome == UnderWay {
		m.lastWake.Outcome = Over
	}
	until = notAfter(until, now)
	if m.heard.IsZero() || mem.State == Awake && until.After(m.heard) {
		m.heard = until // a machine that was awake answered until then
	}
	if mem.State == Awake || mem.State == Arriving || mem.State == Settling && mem.Spec.Agentless { // it is up as far as is known
		m.state, m.upSince = Awake, now
		m.watching().beginWatch(now)
		return m
	}
	m.state, m.presence = Settling, doubt(now)
	switch mem.State {
	case Asleep:
		m.kind, m.sleep = byRestart, sleep{since: m.since, until: until.In(now.Location())}
		m.since = now
	case Settling:
		m.kind = bySaid
	case Waking:
		m.kind, m.since = byRestartInWake, now
	}
	return m
}
