package machine

import "time"

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

// flapped reports whether the machine has lost its network again. One that tests an
// address may pause (RFC 5227 section 1.1).
func (m watching) flapped(now time.Time) bool {
	return m.mayFlap(now) && m.off(now, flapMisses, flapSilence) && !now.Before(m.blindUntil) && now.Sub(m.tested) >= startSilence
}

// beginFlap answers for a machine that has lost its network again, so that new
// clients wait as for any other that sleeps.
func (m watching) beginFlap(now time.Time) {
	m.move(now, Settling, WhyFlap)
	m.kind = byFlap
	m.addrs.claimAll(Claim{Quiet: true})
	m.presence.next = now
}

// endFlap hands a machine back that has its network again, and that no client waits
// for.
func (m settling) endFlap(now time.Time) {
	m.pending = nil
	m.addrs.returnAll(now)
	m.move(now, Awake, WhyStillUp)
}
