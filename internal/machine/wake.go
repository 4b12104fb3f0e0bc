package machine

import (
	"net/netip"
	"slices"
	"time"
)

// arrivalPace is the slowest pace of the questions that look for a booting machine
// which does not announce itself, and for addresses not yet in use.
const arrivalPace = 100 * time.Millisecond

// unheardPace is how soon a booting machine is asked again while nothing says that it is
// about to come: a switch floods the questions to all ports, and one forged SYN begins
// them. A boot is noticed so much later at most.
const unheardPace = 20 * time.Millisecond

// A machine that does not wake is tried with growing pauses. The first wake that
// fails may be an accident, and the next knock wakes again.
const (
	firstPause   = time.Minute
	longestPause = time.Hour
)

// wake is one wake from its reason to its end.
type wake struct {
	began     WakeBegan
	services  []Service // that are waited for
	knocked   []Service // of these, those that clients knocked at
	ready     []Service // since it arrived: those that can take clients
	requested bool      // its requester waits, as a client that tries does
	attempts  int       // rounds of magic packets begun
	retries   retries   // of the clients

	firstMagic time.Time
	nextMagic  time.Time
	arrived    time.Time // its last first proof of life
	notBefore  time.Time // it does not fail before
	flapped    bool      // its machine had arrived before, and lost its network again
}

// woken is the part of a life from a wake's reason to the machine's arrival.
type waking struct{ *Machine }

func (m *Machine) waking() waking { return waking{m} }

func (m waking) knock(now time.Time, e Knocked) {
	if m.Conceded(e.Service.Addr) {
		return // it was on its way when the address was left to another host
	}
	w := wake{
		began:    WakeBegan{Trigger: e.Service.Protocol.trigger(), Service: e.Service, Source: e.Source},
		services: []Service{e.Service},
		knocked:  []Service{e.Service},
	}
	if m.state == Asleep && now.Before(m.retryAt) {
		m.do(DropPackets{}) // what waits now must not fill the hold
		m.do(KnockIgnored(e))
		return
	}
	if !m.arrivedByTest() {
		m.countKnock(e.Service.Port)
		m.endTest(w.began)
	}
	w.retries.note(now)
	switch m.state {
	case Settling:
		if m.pending == nil {
			m.pending = &w
		} else {
			m.pending.add(now, e.Service)
		}
		if m.kind == byFrame && !m.presence.needSystem && m.addrs.yielding() {
			m.settling().joinArrival(now)
		}
	case Asleep:
		m.beginWake(now, w)
	case Waking:
		m.wake.add(now, e.Service)
	case Arriving:
		if m.wake.add(now, e.Service) {
			m.checkServices()
		}
	}
}

// countKnock counts a knock unless its port was knocked at already in the wake that
// is to be or under way: clients repeat themselves, and try several addresses.
func (m waking) countKnock(p Port) {
	if m.state == Awake {
		return
	}
	if w := m.current(); w != nil && slices.ContainsFunc(w.knocked, func(s Service) bool { return s.Port == p }) {
		return
	}
	m.knocks = m.knocks.with(p)
	m.changed = true // a counter must not fall after a crash
}

// current returns the wake that is to be or under way, or nil.
func (m waking) current() *wake {
	switch m.state {
	case Settling:
		return m.pending
	case Waking, Arriving:
		return &m.wake
	default:
		return nil
	}
}

// add notes a further knock, and reports whether it is at a new service.
func (w *wake) add(now time.Time, s Service) bool {
	w.retries.note(now)
	if !slices.Contains(w.knocked, s) {
		w.knocked = append(w.knocked, s)
	}
	return w.wait([]Service{s})
}

// wait has the wake wait for services, and reports whether one is new.
func (w *wake) wait(services []Service) (more bool) {
	for _, s := range services {
		if !slices.Contains(w.services, s) {
			w.services, more = append(w.services, s), true
		}
	}
	return more
}

func (m waking) requestWake(now time.Time, e WakeRequested) {
	if m.isPaused() {
		return
	}
	w := wake{
		began:     WakeBegan{Trigger: e.Trigger, By: e.By, Test: e.Test},
		services:  m.addrs.requestedServices(e.Test),
		requested: true,
	}
	if !e.Test && !m.arrivedByTest() {
		m.endTest(w.began)
	}
	switch m.state {
	case Awake:
		m.magicOnRequest(e) // which does no harm to a machine that runs
		m.inquire(now, w)
	case Settling:
		if !e.Test { // which is to find the machine off
			m.magicOnRequest(e)
			m.presence.since = now // it may be starting from now on
		}
		if m.pending == nil {
			m.pending = &w
		} else if !e.Test {
			m.pending.join(w)
		}
	case Asleep:
		m.beginWake(now, w)
	case Waking, Arriving:
		if !e.Test && m.wake.join(w) && m.state == Arriving {
			m.checkServices()
		}
	}
}

// join has a wake wait for what a further request wants, and reports whether that is more.
func (w *wake) join(request wake) bool {
	w.requested = true
	return w.wait(request.services)
}

func (m waking) beginWake(now time.Time, w wake) {
	w.attempts = 0
	w.nextMagic = now
	if earliest := m.claimAt.Add(m.policy.Holdoff); earliest.After(now) {
		w.nextMagic = earliest
	}
	w.began.Repeated = m.failures > 0 && w.counts() && !w.requested // its requester waits to be told
	if !w.began.GoesOn {
		m.countWake(now, &w)
	}
	m.do(w.began)
	w.began.GoesOn = true // if it has to begin again
	m.wake = w
	m.presence = presence{}
	why := WhyKnock
	if !w.began.Service.Addr.IsValid() {
		why = WhyRequested
	}
	m.report(now, Waking, why, w.began.Repeated)
	m.tickWaking(now)
}

// countWake counts a wake that began then, and tells of it from now on.
func (m waking) countWake(began time.Time, w *wake) {
	b := w.began
	m.unready = nil
	m.lastWake = LastWake{
		At: began, Trigger: b.Trigger, Service: b.Service, Source: b.Source, By: b.By, Outcome: UnderWay, Attempts: w.attempts, Test: b.Test,
	}
	if w.counts() {
		m.tally.Wakes[b.Trigger]++
	}
}

// postponeWake keeps the present wake for when the machine is asleep again.
func (m waking) postponeWake() {
	w := m.wake
	m.pending = &w
}

func (m waking) tickWaking(now time.Time) {
	w := &m.wake
	if m.failed(now) {
		m.failWake(now)
		return
	}
	if !now.Before(w.nextMagic) {
		m.continueRounds(now)
	}
	m.probeArriving(now)
	m.reclaimYielded(now)
}

// stopAnnouncing ends the announcements of a claim whose machine boots: any of them
// would fail the test of an address. The machine takes up to a second between the
// moment when that begins and its first packet (Linux, router_solicitation_delay;
// RFC 5227 section 1.1, PROBE_WAIT), so that stopping then would be too late.
func (m waking) stopAnnouncing() {
	if held := m.Claimed(); len(held) > 0 {
		m.do(StopAnnouncing{Addrs: held})
	}
}

// askArriving asks a booting machine whether it is there: one that does not
// announce itself is found no other way while we answer for its address.
func (m waking) probeArriving(now time.Time) {
	p := &m.presence
	if p.next.IsZero() || now.Before(p.next) {
		return
	}
	m.probe(now, m.awaitedAddrs(now), false)
	p.next = now.Add(Pace(now.Sub(m.wake.firstMagic), max(m.pace, m.leastPause(now)), arrivalPace))
}

// leastPause returns how soon a machine that is awaited may be asked again. It is asked
// densely about when it is expected, and after each frame of it: a hundredth of the time
// since then costs few questions, and next to no time. Once it has answered where its
// clients wait it is only asked whether it is still there.
func (m waking) leastPause(now time.Time) time.Duration {
	switch w := &m.wake; {
	case m.state == Arriving && m.answersWhereAwaited(now):
		return arrivalPace
	case m.state == Arriving || m.bootTimes.expected(now.Sub(w.firstMagic)):
		return 0
	case !m.heard.Before(w.firstMagic):
		return min(now.Sub(m.heard)/100, unheardPace)
	}
	return unheardPace
}

// answersWhereAwaited reports whether a machine that arrives has answered for all
// addresses that it is asked for.
func (m waking) answersWhereAwaited(now time.Time) bool {
	return !slices.ContainsFunc(m.awaitedAddrs(now), func(ip netip.Addr) bool {
		a := m.addrs.of(ip)
		return a != nil && !a.proved
	})
}

// heardWaking takes a frame of a machine that is being woken. A test of an address
// is a start; other frames only make us ask.
func (m waking) heardWaking(now time.Time, a *address, e Heard) {
	switch {
	case m.wake.attempts == 0:
		// Still held off: we did not start this.
		m.postponeWake()
		m.settling().enterSettling(now, WhySpoke, byFrame)
		m.presence = doubt(now)
		m.settling().heardSettling(now, a, e, false)
	case a != nil && e.Sign == Tests:
		m.addrs.yield(now, a)
		m.enterArriving(now)
	case a != nil:
		m.addrs.yield(now, a)
		m.probeSoon(Pace(0, m.pace, arrivalPace))
	default:
		m.probeSoon(Pace(0, m.pace, arrivalPace))
	}
}

// reclaimYielded answers again for addresses that a frame spoke for, and whose
// machine has not proved to be up since.
func (m waking) reclaimYielded(now time.Time) {
	var ips []netip.Addr
	for i := range m.addrs.all {
		a := &m.addrs.all[i]
		if a.standing == Claimed && !a.yielded.IsZero() && now.Sub(a.yielded) >= startSilence {
			a.yielded, a.inUse = time.Time{}, false
			ips = append(ips, a.IP)
		}
	}
	if len(ips) > 0 {
		m.do(Claim{Addrs: ips, Quiet: true})
	}
}

// awaited returns the addresses that clients wait for, and those that the machine
// spoke for. It returns all where there is none, where only TCP proves the machine up,
// where a guest is waited for, which comes later than the machine, and where it is about
// to be taken for off: it may be up at the others alone.
func (m waking) awaitedAddrs(now time.Time) []netip.Addr {
	waking := m.state == Waking
	addrs := m.addrs.which(func(a *address) bool {
		return a.reason == "" && a.standing != Conceded && (waking && !a.yielded.IsZero() ||
			slices.ContainsFunc(m.wake.services, func(s Service) bool { return s.Addr == a.IP }))
	})
	forGuest := slices.ContainsFunc(addrs, func(ip netip.Addr) bool { return m.addrs.of(ip).Hosted() })
	if len(addrs) == 0 || forGuest || m.NeededProof() > ByNeighbor || !waking && now.Sub(m.presence.since) >= startSilence/2 {
		return m.probedAddrs()
	}
	return append(addrs, m.otherAddrs...)
}

// pause returns how long knocks do not wake a machine that did not wake so often.
func pause(failures int) time.Duration {
	if failures < 2 {
		return 0
	}
	return min(firstPause<<min(failures-2, 10), longestPause)
}

func (m waking) failWake(now time.Time) {
	if now.Sub(m.atOther) < seekTime {
		m.foundElsewhere(now)
		return
	}
	m.lastWake.Outcome = GivenUp
	test := m.testing()
	repeated := m.failures > 0 && !test && !m.wake.requested
	if !test {
		m.tally.Failures[m.wake.began.Trigger]++
		m.failures++
		m.retryAt = now.Add(pause(m.failures))
	}
	m.do(WakeFailed{Trigger: m.wake.began.Trigger, Attempts: m.wake.attempts, Repeated: repeated, Test: test})
	m.do(DropPackets{})
	if m.policy.Keep || test {
		m.report(now, Asleep, WhyAttemptsGone, repeated)
		m.addrs.recheckOwn(now)
		if m.addrs.yielding() { // what it said last is still open
			m.settling().heardAsleep(now, nil, Heard{}, false)
		}
		return
	}
	m.addrs.returnAddresses(now)
	m.addrs.endReturns()
	m.move(now, Awake, WhyAttemptsGone)
	m.do(Forget{Reason: "wake failed and wake.keep is false"})
}

// foundElsewhere ends a wake whose machine is up at another address.
func (m waking) foundElsewhere(now time.Time) {
	m.do(DropPackets{})
	m.addrs.returnAll(now)
	m.move(now, Awake, WhyElsewhere)
	m.elsewhere = true
	m.do(Elsewhere{Addr: m.other})
}

// magicOnRequest sends a magic packet to a machine that does not sleep as far as is
// known. That is no wake, and the packet is none of a wake's attempts.
func (m waking) magicOnRequest(e WakeRequested) {
	m.do(MagicRequested{Trigger: e.Trigger, By: e.By, State: m.state})
	m.sendMagic(1, false)
}

// magic sends a magic packet of a wake and counts it.
func (m waking) magic(attempt int, again bool) {
	m.tally.Attempts++
	m.sendMagic(attempt, again)
}

func (m waking) sendMagic(attempt int, again bool) {
	m.do(SendMagic{Attempt: attempt, Again: again, Repeated: m.failures > 0 && !m.testing()})
}
