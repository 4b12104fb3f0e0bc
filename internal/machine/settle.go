package machine

import "time"

// repeatAfter is the least time between two reports of the same doubt.
const repeatAfter = time.Hour

// doubtfulFor is how long after an outage of the porter's network a sleeping machine is
// still probed, because only its silence says that it sleeps: a switch may block a port
// for long after the link is up.
const doubtfulFor = 5 * time.Minute

// enterSettling moves the machine to Settling. The same doubt is reported at most once
// in repeatAfter.
func (m settling) enterSettling(now time.Time, why Reason, kind settlingKind) {
	m.repeats = !m.reported.IsZero() && now.Sub(m.reported) < repeatAfter
	if !m.repeats {
		m.reported = now
	}
	m.report(now, Settling, why, m.repeats)
	m.kind = kind
}

// heardAsleep handles a frame of a sleeping machine: it may have been started.
func (m settling) heardAsleep(now time.Time, a *address, unasked bool) {
	m.waking().stopAnnouncing()
	m.enterSettling(now, WhySpoke, byFrame)
	m.presence = doubt(now)
	m.presence.needSystem = unasked
	m.heardSettling(now, a, unasked)
}

// heardSettling handles a frame of a settling machine. The address that it uses
// is yielded until the machine is settled.
func (m settling) heardSettling(now time.Time, a *address, unasked bool) {
	if m.kind == byRestart {
		m.kind, m.presence = byFrame, doubt(now)
	}
	m.probeSoon(m.policy.answerPace())
	if a == nil {
		return
	}
	m.addrs.yield(now, a)
	switch {
	case unasked:
	case m.kind == byFrame:
		m.presence.needSystem = false
		m.joinArrival(now)
	case m.kind == byFlap:
		m.joinArrival(now)
	}
}

// answeredSettling handles a proof of life. A machine that registered may answer until
// probe.timeout: it is shutting down.
func (m settling) answeredSettling(now time.Time) {
	switch m.kind {
	case bySaid:
		return
	case bySilence:
		m.pending = nil
		m.addrs.returnAll(now)
		m.report(now, Awake, WhyStillUp, m.repeats)
		return
	case byFlap:
		if !m.joinArrival(now) {
			m.endFlap(now)
		}
		return
	}
	m.endSleep(now)
	if !m.joinArrival(now) {
		m.startedExternally(now)
	}
}

// joinArrival treats an external start that clients wait for like an arrival, so that
// they wait for the services.
func (m settling) joinArrival(now time.Time) bool {
	if m.pending == nil || len(m.pending.services) == 0 || len(m.Claimed()) == 0 {
		return false
	}
	m.endSleep(now)
	m.wake, m.pending = *m.pending, nil
	m.wake.flapped = m.kind == byFlap
	m.wake.attempts, m.wake.firstMagic = 0, now
	m.waking().enterArriving(now)
	return true
}

func (m settling) startedExternally(now time.Time) {
	if m.kind != byRestartInWake { // otherwise the porter may have woken it
		m.tally.ExternalStarts++
	}
	m.pending = nil
	m.reported = time.Time{}
	m.addrs.returnAll(now)
	m.move(now, Awake, WhyStarted)
}

// endFlap returns the addresses of a machine whose network is back and that no client
// waits for.
func (m settling) endFlap(now time.Time) {
	m.pending = nil
	m.addrs.returnAll(now)
	m.move(now, Awake, WhyStillUp)
}

func (m settling) tickSettling(now time.Time) {
	p := &m.presence
	if now.Before(p.next) {
		return
	}
	p.count()
	if m.kind == bySilence && now.Before(m.blindUntil) {
		p.excuse(now)
	}
	interval, misses, silence := m.policy.ProbeInterval, m.policy.ProbeMisses, startSilence
	switch m.kind {
	case bySilence:
		misses *= 2 // it did not register: lossy Wi-Fi is no sleep
	case byRestart:
		interval, misses, silence = m.policy.answerPace(), quickMisses, 0
	case byFlap:
		interval, silence = m.policy.answerPace(), flapTime
	}
	if m.off(now, misses, silence) && m.settled(now, misses) {
		return
	}
	if m.kind == bySaid && p.misses == 0 && !p.unsent && now.Sub(m.since) >= m.policy.ProbeTimeout && !m.suspects(now) {
		m.neverSilent(now, WhyNeverSilent)
		return
	}
	// The last probe before the claim is also broadcast.
	m.probe(now, m.probedAddrs(), p.misses >= misses-1 && !now.Add(interval).Before(p.since.Add(silence)))
	p.next = now.Add(interval)
	if due := p.since.Add(silence); p.misses >= misses-1 && due.After(now) {
		p.next = earlier(p.next, notBefore(due, now.Add(m.policy.answerPace())))
	}
}

// suspects reports whether only the network card of the machine may be answering:
// there was no other sign of the operating system lately. The machine is then probed
// for one.
func (m settling) suspects(now time.Time) bool {
	p := &m.presence
	if p.needSystem {
		return false
	}
	p.needSystem = now.Sub(p.osSeen) >= min(startSilence, m.policy.ProbeTimeout/2) // its registration ends with such a sign
	return p.needSystem
}

// settled ends the settling of a machine that gave no proof of life. It waits while
// answers of a network card have just stopped.
func (m settling) settled(now time.Time, misses int) bool {
	p := &m.presence
	switch {
	case p.silent >= misses:
		m.fallAsleep(now, WhySilent)
	case m.NICAnswers():
		m.fallAsleep(now, WhyOnlyNIC)
	case p.silent > 0:
		return false
	default:
		m.foundOffload(now)
	}
	return true
}

// foundOffload records that the network card or firmware answers for the sleeping
// machine.
func (m settling) foundOffload(now time.Time) {
	m.nicAnswers = true
	if m.policy.OverrideOffload {
		m.fallAsleep(now, WhyOnlyNIC)
		return
	}
	m.neverSilent(now, WhyOnlyNIC)
}

func (m settling) neverSilent(now time.Time, why Reason) {
	if m.pending.counts() {
		m.tally.SettleTimeouts++
	}
	m.pending = nil
	m.do(DropPackets{}) // their clients have repeated them, or given up
	m.addrs.returnAll(now)
	m.move(now, Awake, why)
}

// fallAsleep claims the addresses of a machine that is off.
func (m settling) fallAsleep(now time.Time, why Reason) {
	slept := m.sleep.since
	m.sleep = sleep{}
	m.report(now, Asleep, why, m.repeats && m.kind == byFrame)
	m.presence.needSystem = false // a later answer is examined again
	m.issuing().observe()         // before the first answer of its network card
	var claim Claim
	if !slept.IsZero() {
		m.since = earlier(slept, now) // its sleep continued
	}
	if m.kind == byRestart {
		claim.AnnounceAfter = startSilence // it may be in the middle of a test of its addresses
	}
	m.addrs.claimAll(claim)
	m.claimAt = now
	if m.kind == bySilence && now.Before(m.blindUntil.Add(doubtfulFor)) {
		m.presence = doubt(now)
		m.presence.next = m.watching().nextWatch(now)
	}
	if w := m.pending; w != nil {
		m.pending = nil
		m.waking().beginWake(now, *w)
	}
}

// probeAsleep probes a sleeping machine that may have seemed silent because of an
// outage of our own network.
func (m settling) probeAsleep(now time.Time) {
	p := &m.presence
	switch {
	case p.next.IsZero() || now.Before(p.next):
	case now.Before(m.blindUntil.Add(doubtfulFor)):
		m.probe(now, m.probedAddrs(), false)
		p.next = m.watching().nextWatch(now)
	default:
		p.next = time.Time{}
	}
}

// visited probes such a machine at once, because traffic came for it.
func (m settling) visited() {
	if m.state == Asleep && !m.presence.next.IsZero() {
		m.probeSoon(arrivalPace)
	}
}
