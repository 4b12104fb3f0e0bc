package machine

import (
	"encoding/binary"
	"time"
)

const (
	// agentlessPace is how many times probe.interval a machine that is not
	// registered is left alone where watch.interval is 0.
	agentlessPace = 5

	// oblivion is when a machine is forgotten that was neither heard nor woken.
	forgetAfter = 90 * 24 * time.Hour
)

// A machine that has just come up may lose its network once more: NetworkManager takes
// a card with Wake-on-LAN down and up again after the resume, for up to 8 s. Until then
// the machine may have taken a connection already.
const (
	flapsWithin = 30 * time.Second       // of its arrival
	flapPace    = 500 * time.Millisecond // of the questions meanwhile
	flapMisses  = 2
	flapSilence = time.Second      // the least
	flapTime    = 10 * time.Second // a longer silence is no flap
)

// mayFlap reports whether we have woken the machine a moment ago. Where its network card
// answers for it too it is not looked at so closely.
func (m *Machine) mayFlap(now time.Time) bool { return now.Before(m.flapsUntil) && !m.NICAnswers() }

// watchPause returns how long a machine that is awake is left alone after it
// answered, and 0 if it is not asked.
func (m watching) watchPause(now time.Time) time.Duration {
	switch {
	case !m.known() || m.isPaused():
		return 0 // nothing says yet that it is here, or it is left alone
	case m.mayFlap(now):
		return flapPace
	case !m.spec.Unwatched && m.policy.WatchInterval > 0:
		return m.policy.WatchInterval
	case m.spec.Agentless:
		return agentlessPace * m.policy.ProbeInterval
	case now.Sub(notBefore(m.registered, m.unpaused)) < m.policy.ProbeTimeout:
		// What passes for an external start can be a pause in a long shutdown:
		// hibernation stops the network, and speaks on while it writes to the disk.
		return m.policy.ProbeInterval
	}
	return 0
}

// beginWatch begins to look after a machine that is awake. Of many machines each has
// its first question at another moment, and where they answer it stays like that.
func (m watching) beginWatch(now time.Time) {
	m.presence = doubt(now)
	m.presence.next = time.Time{}
	if pause := m.watchPause(now); pause > 0 && len(m.probedAddrs()) > 0 {
		m.presence.next = now.Add(m.share(pause))
		if m.atOther.After(m.atOwn) { // see findElsewhere
			m.presence.next = earlier(m.presence.next, now.Add(testTime))
		}
	}
}

// adjustWatch takes in that the policy changed.
func (m watching) adjustWatch(now time.Time) {
	if m.state != Awake || m.pending != nil { // which is asked already
		return
	}
	pause := m.watchPause(now)
	if pause == 0 || m.presence.next.IsZero() {
		m.beginWatch(now)
		return
	}
	m.presence.next = earlier(m.presence.next, now.Add(m.share(pause)))
}

// nextWatch returns when a machine that answered is asked again, or the zero time.
func (m watching) nextWatch(now time.Time) time.Time {
	if pause := m.watchPause(now); pause > 0 {
		return now.Add(pause)
	}
	return time.Time{}
}

// share returns a part of d that is the machine's own. A multiple of the golden
// ratio spreads numbers evenly that follow each other, as MACs of one maker do.
func (m watching) share(d time.Duration) time.Duration {
	const golden = 2654435769 // 2^32 divided by the golden ratio
	own := binary.BigEndian.Uint32(m.spec.MAC[2:]) * golden
	return time.Duration(float64(d) * float64(own) / (1 << 32))
}

// findElsewhere reports once that a machine is up at another address than its own.
func (m watching) findElsewhere(now time.Time) {
	if m.elsewhere || m.atOther.Before(m.upSince) {
		return
	}
	if now.Sub(m.upSince) >= testTime && now.Sub(m.atOwn) >= testTime && now.Sub(m.atOther) < seekTime {
		m.elsewhere = true
		m.do(Elsewhere{Addr: m.other})
	}
}

// endInquiry takes in that the machine answered.
func (m *Machine) endInquiry() {
	if m.inquiry == InquiryOpen {
		m.inquiry = InquiryAnswered
	}
	m.pending = nil // it was up when the wake was requested
}

// nextOblivion returns when a machine is forgotten that keeps silent, or the zero time.
func (m watching) nextForget() time.Time {
	if m.permanent || m.registered.IsZero() || m.state == Awake && (m.presence.next.IsZero() || m.pending != nil) {
		return time.Time{} // who is not watched may be up
	}
	last := m.heard
	if m.lastWake.At.After(last) {
		last = m.lastWake.At
	}
	return last.Add(forgetAfter)
}

// tickOblivion forgets a machine that is gone for good.
func (m watching) tickForget(now time.Time) bool {
	if at := m.nextForget(); at.IsZero() || now.Before(at) {
		return false
	}
	m.addrs.returnAddresses(now)
	m.addrs.endReturns()
	m.do(Forget{Reason: "neither heard nor woken for 90 days"})
	return true
}

// configure takes in what the configuration says.
func (m watching) configure(now time.Time, c Configured) {
	changed := m.spec.Agentless != c.Agentless || m.spec.Unwatched != c.Unwatched
	m.spec.Agentless, m.spec.Unwatched, m.permanent = c.Agentless, c.Unwatched, c.Permanent
	if m.state == Awake && (changed || m.presence.next.IsZero()) {
		m.pending, m.inquiry = nil, NoInquiry
		m.beginWatch(now)
	}
}
