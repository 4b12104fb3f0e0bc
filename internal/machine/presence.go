package machine

import "time"

const (
	// startSilence is the least silence that means off. A machine that starts
	// pauses for up to 2 s while it tests its addresses (RFC 5227 section 1.1,
	// PROBE_MAX and ANNOUNCE_WAIT; RFC 4862 section 5.4 for 1 s), and an announcement of
	// the porter would fail that test.
	startSilence = 3 * time.Second

	// testTime bounds how long tests of an address, and frames, postpone the decision that
	// the machine is off: a test is over in 9 s (RFC 5227 section 1.1). Tests of several
	// addresses postpone it for at most twice as long, so forged ones cannot for ever.
	testTime = 10 * time.Second

	// answerTimeout is how long after a probe an answer counts as one to it.
	answerTimeout = 3 * time.Second

	// maxOthers bounds the other addresses at which a machine is probed: one
	// of each family, and a link-local one.
	maxOthers = 3
)

// arrivalPace is the longest time between probes of a booting machine, and of returned
// addresses that are not yet in use.
const arrivalPace = 100 * time.Millisecond

// presence is whether a machine is up, as proved by answers to probes. Frames that
// merely arrive prove nothing.
type presence struct {
	next       time.Time // of the next probe; zero: none is due
	open       time.Time // of the open probe; zero: none
	lastProbe  time.Time // of the last probe
	round      time.Time // of the first probe of all addresses since a frame or a proof of life
	misses     int       // probes in a row without a proof of life
	silent     int       // of these, probes without any answer
	since      time.Time // silence counts from here: the last proof, or when the doubt began
	tests      series    // of all addresses
	bareAnswer time.Time // last answer that was no proof
	osSeen     time.Time // last sign of an operating system
	needSystem bool      // only what an operating system answers is a proof
	unsent     bool      // no proof came since a probe could not be sent
}

// doubt returns a presence without any proof, with a probe due now.
func doubt(now time.Time) presence {
	return presence{next: now, since: now, osSeen: now}
}

// count closes the open probe.
func (p *presence) count() {
	switch {
	case p.open.IsZero():
		return
	case p.bareAnswer.Before(p.open):
		p.silent++
	default:
		p.silent = 0
	}
	p.misses++
	p.open = time.Time{}
}

// prove records a proof of life. It answers the open probe, so that a later answer
// does not postpone the next one.
func (p *presence) prove(now time.Time) {
	p.since, p.tests, p.open, p.round = now, series{}, time.Time{}, time.Time{}
	p.misses, p.silent, p.unsent = 0, 0, false
}

// excuse discards the silence so far.
func (p *presence) excuse(now time.Time) {
	p.open, p.round, p.since = time.Time{}, time.Time{}, now
	p.misses, p.silent, p.unsent = 0, 0, true
}

// series is consecutive tests of an address since the last proof of life.
type series struct{ first, last time.Time }

// note records one more test, and returns how long the series has lasted.
func (s *series) note(now time.Time) time.Duration {
	if s.first.IsZero() || now.Sub(s.last) >= startSilence {
		s.first = now
	}
	s.last = now
	return now.Sub(s.first)
}
