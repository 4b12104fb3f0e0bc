package machine

import "time"

// Bounds of a pause.
const (
	MinPause = time.Second
	MaxPause = 30 * 24 * time.Hour
)

// begin ends what is under way and starts a pause, or changes the end of the present
// pause.
func (m pausing) begin(now time.Time, e PauseRequested) {
	m.paused = e.Until
	m.endSleep(now)
	if m.state != Arriving { // an arriving machine gets the held packets
		m.do(DropPackets{})
	}
	m.pending, m.inquiry, m.flapsUntil = nil, NoInquiry, time.Time{}
	m.addrs.returnAddresses(now)
	if m.state == Awake {
		m.presence = presence{}
	} else {
		m.move(now, Awake, WhyPaused)
	}
	m.do(PauseBegan(e))
}

// end ends the pause as a restart would: the machine is probed, and settles if it is
// silent.
func (m pausing) end(now time.Time, by string) {
	if !m.isPaused() {
		return
	}
	m.paused, m.unpaused = time.Time{}, now
	m.failures, m.retryAt, m.reported = 0, time.Time{}, time.Time{}
	m.do(PauseEnded{By: by})
	m.watching().beginWatch(now)
	if !m.presence.next.IsZero() {
		m.presence.next = now
	}
}

// tick ends a pause whose time is over, and reports whether it did.
func (m pausing) tick(now time.Time) bool {
	if !m.isPaused() || now.Before(m.paused) {
		return false
	}
	m.end(now, "")
	return true
}

// register stores the specification. The rest of the registration waits for the end of
// the pause.
func (m pausing) register(e Registered) {
	m.registering().takeSpec(e)
	m.changed = true
	if !e.Repeated {
		m.do(Deferred{Until: m.paused})
	}
}
