package machine

import (
	"encoding/binary"
	"time"
)

const (
	// agentlessPace is how many times probe.interval a machine that is not
	// registered is not probed where watch.interval is 0.
	agentlessPace = 5

	// forgetAfter is when a machine is forgotten that was neither heard nor woken.
	forgetAfter = 90 * 24 * time.Hour
)

// A machine that has just come up may lose its network once more: NetworkManager takes
// a card with Wake-on-LAN down and up again after the resume, for up to 8 s. Until then
// the machine may have taken a connection already.
const (
	flapsWithin = 30 * time.Second       // of its arrival
	flapPace    = 500 * time.Millisecond // of the probes meanwhile
	flapMisses  = 2
	flapSilence = time.Second      // the least
	flapTime    = 10 * time.Second // a longer silence is no flap
)

// mayFlap reports whether the machine arrived within flapsWithin. It is false if the
// network card answers for the machine.
func (m watching) mayFlap(now time.Time) bool { return now.Before(m.flapsUntil) && !m.NICAnswers() }

// watchPause returns the time between probes of an awake machine, and 0 if it is not
// probed.
func (m watching) watchPause(now time.Time) time.Duration {
	switch {
	case !m.known() || m.isPaused():
		return 0 // it never registered, or is paused
	case m.mayFlap(now):
		return flapPace
	case !m.spec.Unwatched && m.policy.WatchInterval > 0:
		return m.policy.WatchInterval
	case m.spec.Agentless:
		return agentlessPace * m.policy.ProbeInterval
	case now.Sub(notBefore(m.registered, m.unpaused)) < m.policy.ProbeTimeout:
		// An apparent external start can be a pause in a long shutdown: hibernation
		// stops the network, and uses it again while it writes to the disk.
		return m.policy.ProbeInterval
	}
	return 0
}

// beginWatch starts to monitor an awake machine. The first probe is at a time that
// depends on the machine, so that many machines are not probed at once.
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

// adjustWatch applies a new policy.
func (m watching) adjustWatch(now time.Time) {
	if m.state != Awake || m.pending != nil { // it is probed already
		return
	}
	pause := m.watchPause(now)
	if pause == 0 || m.presence.next.IsZero() {
		m.beginWatch(now)
		return
	}
	m.presence.next = earlier(m.presence.next, now.Add(m.share(pause)))
}

// nextWatch returns the time of the next probe after an answer, or the zero time.
func (m watching) nextWatch(now time.Time) time.Time {
	if pause := m.watchPause(now); pause > 0 {
		return now.Add(pause)
	}
	return time.Time{}
}

// share returns a part of d that depends on the MAC. Multiples of the golden ratio
// spread consecutive numbers evenly, such as MACs of one vendor.
func (m watching) share(d time.Duration) time.Duration {
	const golden = 2654435769 // 2^32 divided by the golden ratio
	own := binary.BigEndian.Uint32(m.spec.MAC[2:]) * golden
	return time.Duration(float64(d) * float64(own) / (1 << 32))
}

// findElsewhere reports once that the machine is up at an address that is not
// registered.
func (m watching) findElsewhere(now time.Time) {
	if m.elsewhere || m.atOther.Before(m.upSince) {
		return
	}
	if now.Sub(m.upSince) >= testTime && now.Sub(m.atOwn) >= testTime && now.Sub(m.atOther) < seekTime {
		m.elsewhere = true
		m.do(Elsewhere{Addr: m.other})
	}
}

// endInquiry records that the machine answered after a wake was requested.
func (m watching) endInquiry() {
	if m.inquiry == InquiryOpen {
		m.inquiry = InquiryAnswered
	}
	m.pending = nil // it was up when the wake was requested
}

// nextForget returns when a silent machine is forgotten, or the zero time.
func (m watching) nextForget() time.Time {
	if m.permanent || m.registered.IsZero() || m.state == Awake && (m.presence.next.IsZero() || m.pending != nil) {
		return time.Time{} // a machine that is not monitored may be up
	}
	last := m.heard
	if m.lastWake.At.After(last) {
		last = m.lastWake.At
	}
	return last.Add(forgetAfter)
}

// tickForget forgets a machine that was neither heard nor woken for forgetAfter.
func (m watching) tickForget(now time.Time) bool {
	if at := m.nextForget(); at.IsZero() || now.Before(at) {
		return false
	}
	m.addrs.returnAddresses(now)
	m.addrs.endReturns()
	m.do(Forget{Reason: "neither heard nor woken for 90 days"})
	return true
}

// configure applies the configuration of the machine.
func (m watching) configure(now time.Time, c Configured) {
	changed := m.spec.Agentless != c.Agentless || m.spec.Unwatched != c.Unwatched
	m.spec.Agentless, m.spec.Unwatched, m.permanent = c.Agentless, c.Unwatched, c.Permanent
	if m.state == Awake && (changed || m.presence.next.IsZero()) {
		m.pending, m.inquiry = nil, NoInquiry
		m.beginWatch(now)
	}
}
