package machine

import "time"

const (
	// startSilence is the least silence that means off. A machine that starts
	// pauses for up to 2 s while it tests its addresses (RFC 5227 section 1.1,
	// PROBE_MAX and ANNOUNCE_WAIT; RFC 4862 section 5.4 for 1 s), and would take an
	// announcement of ours for a duplicate.
	startSilence = 3 * time.Second

	// testTime bounds how long tests of an address, and frames, put the verdict off: a test is
	// over in 9 s (RFC 5227 section 1.1). Forged ones must not do so for ever, so those of
	// several addresses do for twice as long at most.
	testTime = 10 * time.Second

	// answerTime is how long an answer may take to be one to a question of ours.
	answerTimeout = 3 * time.Second

	// maxOthers bounds the addresses that a machine is asked for beside its own: one
	// of each family, and a link-local one.
	maxOthers = 3
)

// arrivalPace is the slowest pace of the questions that look for a booting machine
// which does not announce itself, and for addresses not yet in use.
const arrivalPace = 100 * time.Millisecond

// presence is whether a machine is up, as far as it was proved by answers to
// questions of ours. Frames that merely arrive decide nothing.
type presence struct {
	next       time.Time // of the next question; zero: none is due
	open       time.Time // of the question that is open; zero: none is
	lastProbe  time.Time // of the last question
	round      time.Time // of the first question about all addresses since a frame or a proof of life
	misses     int       // questions in a row without a proof of life
	silent     int       // of these, questions without any answer
	since      time.Time // silence counts from here: the last proof, or when the doubt began
	tests      series    // of all addresses
	bareAnswer time.Time // last answer that proved too little
	osSeen     time.Time // last sign of an operating system
	needSystem bool      // only what an operating system answers is a proof
	unsent     bool      // no proof came since a question could not be sent
}

// doubt returns a presence of which nothing is known, with a question due now.
func doubt(now time.Time) presence {
	return presence{next: now, since: now, osSeen: now}
}

// count closes the question that is open.
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

// prove takes a proof of life. It answers the question that is open, so that what
// comes later does not put off the next one.
func (p *presence) prove(now time.Time) {
	p.since, p.tests, p.open, p.round = now, series{}, time.Time{}, time.Time{}
	p.misses, p.silent, p.unsent = 0, 0, false
}

// excuse has the silence so far count for nothing.
func (p *presence) excuse(now time.Time) {
	p.open, p.round, p.since = time.Time{}, time.Time{}, now
	p.misses, p.silent, p.unsent = 0, 0, true
}

// series are tests of an address since the last proof of life that follow each other.
type series struct{ first, last time.Time }

// note takes in one more test, and returns for how long they go on.
func (s *series) note(now time.Time) time.Duration {
	if s.first.IsZero() || now.Sub(s.last) >= startSilence {
		s.first = now
	}
	s.last = now
	return now.Sub(s.first)
}
