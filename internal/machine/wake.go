package machine

import (
	"net/netip"
	"slices"
	"time"
)

// wake is one wake from its reason to its end.
type wake struct {
	began    WakeBegan
	services []Service // knocked on so far
	attempts int       // magic packets sent

	firstMagic time.Time
	nextMagic  time.Time
	nextProbe  time.Time
	arrived    time.Time // its last first frame
	lastHeard  time.Time
	inUse      []netip.Addr // addresses it uses since it arrived
}

func (m *Machine) knock(now time.Time, e Knocked) {
	if m.Conceded(e.Service.Addr) {
		return // it was on its way when the address was left to another host
	}
	w := wake{
		began:    WakeBegan{Trigger: e.Service.Protocol.trigger(), Service: e.Service, Source: e.Source},
		services: []Service{e.Service},
	}
	m.countKnock(e.Service.Port)
	switch m.state {
	case Settling:
		if m.pending == nil {
			m.pending = &w
		} else {
			m.pending.add(e.Service)
		}
		m.joinArrival(now)
	case Asleep:
		m.beginWake(now, w)
	case Waking:
		m.wake.add(e.Service)
	case Arriving:
		if m.wake.add(e.Service) {
			m.handOver()
		}
	}
}

// countKnock counts a knock unless somebody knocked at the port already in the wake
// that is to be or under way: clients repeat themselves, and try several addresses.
func (m *Machine) countKnock(p Port) {
	var w *wake
	switch m.state {
	case Awake:
		return
	case Settling:
		w = m.pending
	case Waking, Arriving:
		w = &m.wake
	}
	if w != nil && slices.ContainsFunc(w.services, func(s Service) bool { return s.Port == p }) {
		return
	}
	m.knocks = m.knocks.with(p)
}

// add remembers one more service that somebody waits for, and reports whether
// it is a new one.
func (w *wake) add(s Service) bool {
	if slices.Contains(w.services, s) {
		return false
	}
	w.services = append(w.services, s)
	return true
}

func (m *Machine) ask(now time.Time, e WakeAsked) {
	w := wake{began: WakeBegan{Trigger: e.Trigger, By: e.By}}
	switch m.state {
	case Awake:
		// We may be wrong about it: it can have been switched off without a
		// word. A magic packet does no harm to a machine that runs.
		m.magic(1)
		if m.vigil.on() && m.pending == nil {
			m.pending = &w // it may be about to fall silent after all
			m.hurry(now)
		}
	case Settling:
		// It may be off already behind a network card that answers for it, and
		// is silent while it starts.
		m.magic(1)
		m.settling.woken = now
		if m.pending == nil {
			m.pending = &w
		}
	case Asleep:
		m.beginWake(now, w)
	}
}

func (m *Machine) beginWake(now time.Time, w wake) {
	w.attempts = 0
	w.nextMagic = now
	if earliest := m.claimAt.Add(m.policy.Holdoff); earliest.After(now) {
		w.nextMagic = earliest
	}
	w.nextProbe = time.Time{}
	if !w.began.GoesOn {
		b := w.began
		m.lastWake = LastWake{At: now, Trigger: b.Trigger, Service: b.Service, Source: b.Source, By: b.By, Outcome: UnderWay}
		m.tally.Wakes[w.began.Trigger]++
	}
	m.do(w.began)
	w.began.GoesOn = true // if it has to begin again
	m.wake = w
	why := WhyKnock
	if !w.began.Service.Addr.IsValid() {
		why = WhyAsked
	}
	m.move(now, Waking, why)
	m.tickWaking(now)
}

// postponeWake keeps the present wake for when the machine is asleep again.
func (m *Machine) postponeWake() {
	w := m.wake
	m.pending = &w
}

func (m *Machine) tickWaking(now time.Time) {
	w := &m.wake
	if !now.Before(w.nextMagic) {
		if w.attempts >= m.policy.WakeAttempts {
			m.failWake(now)
			return
		}
		w.attempts++
		m.lastWake.Attempts++
		m.magic(w.attempts)
		if w.attempts == 1 {
			w.firstMagic = now
			w.nextProbe = now
			m.hush()
		}
		w.nextMagic = now.Add(m.policy.WakeInterval)
	}
	m.probeArrival(now)
}

// hush ends the announcements of a claim whose machine boots: any of them would
// fail the test of an address. The machine takes up to a second between the
// moment when that begins and its first packet (Linux, router_solicitation_delay;
// RFC 5227 section 1.1, PROBE_WAIT), so that stopping then would be too late.
func (m *Machine) hush() {
	if len(m.claimed) > 0 {
		m.do(Hush{Addrs: slices.Clone(m.claimed)})
	}
}

// probeArrival asks a booting machine whether it is there: one that does not
// announce itself is heard no other way while we answer for its address.
func (m *Machine) probeArrival(now time.Time) {
	w := &m.wake
	if w.nextProbe.IsZero() || now.Before(w.nextProbe) {
		return
	}
	m.probe(Probe{Addrs: m.awaited()}, m.CardAnswers())
	w.nextProbe = now.Add(Pace(now.Sub(w.firstMagic), m.pace, arrivalProbeInterval))
}

// handOver tells for which services somebody waits. At an address that was left
// to another host the machine will never answer.
func (m *Machine) handOver() {
	m.do(HandOver{Services: slices.DeleteFunc(slices.Clone(m.wake.services), func(s Service) bool { return m.Conceded(s.Addr) })})
}

// awaited returns the addresses somebody waits for, or all when nobody does.
func (m *Machine) awaited() []netip.Addr {
	var addrs []netip.Addr
	for _, s := range m.wake.services {
		if !slices.Contains(addrs, s.Addr) && m.spec.Has(s.Addr) && !m.Conceded(s.Addr) {
			addrs = append(addrs, s.Addr)
		}
	}
	if len(addrs) == 0 {
		return m.spec.Addrs()
	}
	return addrs
}

func (m *Machine) failWake(now time.Time) {
	m.tally.Failures[m.wake.began.Trigger]++
	m.lastWake.Outcome = GivenUp
	m.do(WakeFailed{Trigger: m.wake.began.Trigger, Attempts: m.wake.attempts})
	if m.policy.Keep {
		m.move(now, Asleep, WhyAttemptsGone)
		return
	}
	m.giveBack(now)
	m.part()
	m.move(now, Awake, WhyAttemptsGone)
	m.do(Forget{})
}

func (m *Machine) enterArriving(now time.Time) {
	w := &m.wake
	w.arrived, w.lastHeard, w.inUse = now, now, nil
	w.nextProbe = now
	if w.attempts > 0 {
		m.lastWake.Boot = now.Sub(w.firstMagic)
	}
	m.move(now, Arriving, WhyArrived)
	m.do(Yield{})
	m.handOver()
	m.tickArriving(now)
}

func (m *Machine) tickArriving(now time.Time) {
	w := &m.wake
	switch {
	case now.Sub(w.lastHeard) >= m.policy.startSilence() && w.attempts == 0:
		// It did not start after all, so the wake begins now.
		m.pending = w
		m.fallAsleep(now, WhySilent)
	case now.Sub(w.lastHeard) >= m.policy.startSilence():
		// Take it back, and give the operating system its time: the attempts
		// go on from where they were.
		m.lastWake.Boot = 0
		m.move(now, Waking, WhyFirmware)
		m.claim()
		m.hush()
		if w.attempts >= m.policy.WakeAttempts {
			w.nextMagic = now.Add(m.policy.WakeInterval)
		}
		m.tickWaking(now)
	case now.Sub(w.arrived) >= m.policy.ReadyTimeout:
		m.arrive(now, WhyNotReady)
	default:
		m.probeArrival(now)
	}
}

// arrive ends the wake: the machine has its addresses back.
func (m *Machine) arrive(now time.Time, why Reason) {
	w := &m.wake
	m.owe(now, m.handBack(now))
	if w.attempts > 0 {
		l := &m.lastWake
		l.Ready, l.Outcome = now.Sub(w.firstMagic), Served
		if why == WhyNotReady {
			l.Outcome = Unready
		}
		m.do(WakeEnded{Boot: l.Boot, Ready: l.Ready, Unready: l.Outcome == Unready})
	} else {
		m.tally.ExternalStarts++
	}
	m.move(now, Awake, why)
	m.partTold()
	if w.attempts == 0 {
		m.keepVigil(now)
	}
}

// handBack releases the addresses of a machine that arrives, announces those it
// uses already, and returns the rest.
func (m *Machine) handBack(now time.Time) (rest []netip.Addr) {
	inUse, rest := split(m.claimed, m.wake.inUse)
	m.release()
	m.announce(now, inUse)
	return rest
}

// split divides addrs into those that are among some and the rest.
func split(addrs, some []netip.Addr) (in, out []netip.Addr) {
	for _, a := range addrs {
		if slices.Contains(some, a) {
			in = append(in, a)
		} else {
			out = append(out, a)
		}
	}
	return in, out
}
