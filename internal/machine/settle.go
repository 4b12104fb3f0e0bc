package machine

import "time"

// repeatAfter is how often a change is reported that comes again and again.
const repeatAfter = time.Hour

// doubtfulFor is how long after an outage of ours a machine is asked on although it
// sleeps, because nothing but its silence says so: a switch may keep a port to
// itself for longer than it should.
const doubtfulFor = 5 * time.Minute

// enterSettling begins to doubt a machine. Doubts that come to nothing are reported
// once an hour.
func (m settling) enterSettling(now time.Time, why Reason, kind settlingKind) {
	m.repeats = !m.reported.IsZero() && now.Sub(m.reported) < repeatAfter
	if !m.repeats {
		m.reported = now
	}
	m.report(now, Settling, why, m.repeats)
	m.kind = kind
}

// heardAsleep takes a frame of a machine that sleeps, which may have been started.
func (m settling) heardAsleep(now time.Time, a *address, e Heard, unasked bool) {
	m.waking().stopAnnouncing()
	m.enterSettling(now, WhySpoke, byFrame)
	m.presence = doubt(now)
	m.presence.needSystem = unasked
	m.heardSettling(now, a, unasked)
}

// heardSettling takes a frame: nothing is answered for the address that it speaks
// for until the question is settled.
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

// answeredSettling takes a proof of life. A machine that registered may go on
// answering until probe.timeout: it is shutting down.
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

// joinArrival treats a machine that starts although we did not wake it, and that
// clients wait for, like one that arrives: so they wait for its services.
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
	if m.kind != byRestartInWake { // else we may have woken it ourselves
		m.tally.ExternalStarts++
	}
	m.pending = nil
	m.reported = time.Time{}
	m.addrs.returnAll(now)
	m.move(now, Awake, WhyStarted)
}

// endFlap hands a machine back that has its network again, and that no client waits
// for.
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
		misses *= 2 // it did not say that it would sleep: a lossy Wi-Fi is no sleep
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
	// The last question before the claim goes to all hosts.
	m.probe(now, m.probedAddrs(), p.misses >= misses-1 && !now.Add(interval).Before(p.since.Add(silence)))
	p.next = now.Add(interval)
	if due := p.since.Add(silence); p.misses >= misses-1 && due.After(now) {
		p.next = earlier(p.next, notBefore(due, now.Add(m.policy.answerPace())))
	}
}

// suspects reports whether a machine that answers may sleep behind its network
// card: it gave no other sign lately. It is then asked for one.
func (m settling) suspects(now time.Time) bool {
	p := &m.presence
	if p.needSystem {
		return false
	}
	p.needSystem = now.Sub(p.osSeen) >= min(startSilence, m.policy.ProbeTimeout/2) // its registration ends with such a sign
	return p.needSystem
}

// settled ends the settling of a machine that gave no proof, unless it has just
// stopped giving even answers that a network card can give.
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

// foundCard takes note that something answers for the machine while it sleeps.
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
	m.do(DropPackets{}) // whoever sent them has repeated them, or given up
	m.addrs.returnAll(now)
	m.move(now, Awake, why)
}

// fallAsleep claims the addresses of a machine that is off.
func (m settling) fallAsleep(now time.Time, why Reason) {
	slept := m.sleep.since
	m.sleep = sleep{}
	m.report(now, Asleep, why, m.repeats && m.kind == byFrame)
	m.presence.needSystem = false // a later answer is looked into anew
	m.issuing().observe()         // before the first answer of its network card
	var claim Claim
	if !slept.IsZero() {
		m.since = earlier(slept, now) // it slept on
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

// askAsleep asks a machine whose silence may have been that of our own network.
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

// visited asks such a machine at once, because it is wanted.
func (m settling) visited() {
	if m.state == Asleep && !m.presence.next.IsZero() {
		m.probeSoon(arrivalPace)
	}
}
