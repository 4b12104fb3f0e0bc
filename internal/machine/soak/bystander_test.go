package soak

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/machine"
)

const (
	// unclaimedFor bounds how long a machine that is off may be without a claim.
	unclaimedFor = 20 * time.Second

	// testedFor is how much longer forged tests of its addresses may put that off:
	// as long as a test lasts (RFC 5227 section 1.1), and the pause after it.
	testedFor = 14 * time.Second

	// askedFor bounds how long a machine that is up may be answered for, counted
	// from its first frame: the time to ask it.
	askedFor = 4 * time.Second
)

// question is one question and what became of it.
type question struct {
	at       time.Time
	answered bool // by the host itself, and that reached the porter
	lost     bool // it, or an answer
}

// bystander sees who answers for an address, and who has it.
type bystander struct {
	held      map[netip.Addr]bool // claimed: true while it is answered for
	kept      map[netip.Addr]bool // returned: clients may still send to us
	says      map[netip.Addr]*timer
	heardTest map[netip.Addr]time.Time // of the host, by the porter
	firstTest map[netip.Addr]time.Time
	heardUse  map[netip.Addr]time.Time
	questions []*question // the last ones

	why      machine.Reason // of the last move
	wasAwake bool           // when the porter was last deaf, and it did not say that it sleeps since

	blind     time.Time // until then silence proves nothing
	disturbed time.Time // when frames were last kept from the porter
	forged    time.Time // the last forged test
	unclaimed timer
	waiting   bool // unclaimed runs
	twice     timer
	both      bool // twice runs

	sent    int // magic packets of this wake
	granted int // for wakes that were asked of a machine that may be up
	ticks   int // in a row at one moment
	tickAt  time.Time
	shown   machine.Status // the totals shown last
	slept   time.Duration
	story   []told // the last events and actions
}

func (b *bystander) reset() {
	b.held, b.kept, b.says = map[netip.Addr]bool{}, map[netip.Addr]bool{}, map[netip.Addr]*timer{}
	b.heardTest, b.firstTest, b.heardUse = map[netip.Addr]time.Time{}, map[netip.Addr]time.Time{}, map[netip.Addr]time.Time{}
	b.questions, b.wasAwake = nil, false
	b.unclaimed.stop()
	b.twice.stop()
	b.waiting, b.both = false, false
}

// told is one line of a story.
type told struct {
	at   time.Time
	what any
}

// note keeps what happened for the story.
func (l *lan) note(what any) {
	switch what.(type) {
	case machine.Ticked, machine.Persist, machine.FilterKnocks:
		return
	}
	if len(l.story) >= 160 {
		l.story = append(l.story[:0], l.story[80:]...)
	}
	l.story = append(l.story, told{l.q.now, what})
}

// wrong ends the life with what was seen last.
func (l *lan) wrong(format string, args ...any) {
	var story strings.Builder
	for _, t := range l.story {
		fmt.Fprintf(&story, "\n%s %T%+v", t.at.Format("02T15:04:05.000"), t.what, t.what)
	}
	l.fail("%s: %s%s", l.q.now.Format("02T15:04:05.000"), fmt.Sprintf(format, args...), &story)
}

// expect notes what an event permits.
func (l *lan) expect(e machine.Event) {
	l.note(e)
	switch e.(type) {
	case machine.WakeRequested:
		l.granted++
	case machine.Stopped:
		l.sent = 0 // it may send a last one
	case machine.Registered:
		l.wasAwake = false
		l.excuse()
	case machine.ProbeFailed, machine.Configured:
		l.excuse()
	}
}

// see follows one action, as the LAN sees it.
func (l *lan) see(a machine.Action) {
	l.note(a)
	l.seePause(a)
	l.seeAddresses(a)
	switch a := a.(type) {
	case machine.Moved:
		if a.To != machine.Asleep {
			l.why = a.Why
		}
	case machine.WakeBegan:
		l.sent = 0
	case machine.SendMagic:
		if l.granted > 0 && l.m.State() != machine.Waking {
			l.granted--
		} else if l.sent++; l.sent > l.most() {
			l.wrong("%d magic packets in one wake", l.sent)
		}
	case machine.Forget:
		if len(l.held) > 0 || len(l.kept) > 0 {
			l.wrong("forgotten with %v claimed and %v kept", l.held, l.kept)
		}
	}
}

// seePause: nothing is claimed, asked or woken of a machine that is left alone.
func (l *lan) seePause(a machine.Action) {
	if l.m.PausedUntil().IsZero() {
		return
	}
	switch a.(type) {
	case machine.Claim, machine.Probe, machine.Recheck, machine.SendMagic, machine.WakeBegan:
		l.wrong("%T%+v while it is paused", a, a)
	}
}

// most is how many magic packets a wake may take: the first round has 15, and after
// the last one they go on while a client retries.
func (l *lan) most() int {
	p := &l.policy
	return 15 + max(p.WakeAttempts, int(p.WakeTimeout/p.WakeInterval)+1)
}

// seeAddresses follows what changes who answers for an address.
func (l *lan) seeAddresses(a machine.Action) {
	switch a := a.(type) {
	case machine.Claim:
		for _, ip := range a.Addrs {
			l.claims(ip)
			if a.Quiet {
				l.hush(ip)
			} else {
				l.announce(ip, a.AnnounceAfter)
			}
		}
	case machine.Yield:
		for _, ip := range a.Addrs {
			if !l.held[ip] {
				l.wrong("%v is yielded and not answered for", ip)
			}
			l.held[ip] = false
			l.hush(ip)
		}
	case machine.Release:
		for _, ip := range a.Addrs {
			if _, held := l.held[ip]; !held {
				l.wrong("%v is released and not claimed", ip)
			}
			delete(l.held, ip)
			l.kept[ip] = true
			l.hush(ip)
		}
	case machine.EndClaim:
		for _, ip := range a.Addrs {
			if _, held := l.held[ip]; held || !l.kept[ip] {
				l.wrong("the claim of %v ends, held %t, kept %t", ip, held, l.kept[ip])
			}
			delete(l.kept, ip)
			l.hush(ip)
		}
	case machine.Announce:
		for _, ip := range a.Addrs {
			l.announce(ip, 0)
		}
	case machine.StopAnnouncing:
		for _, ip := range a.Addrs {
			l.hush(ip)
		}
	}
}

// claims: nothing is claimed that the host uses or tests, unless too many questions
// or answers were lost.
func (l *lan) claims(ip netip.Addr) {
	if l.rivals[ip] && l.m.Conceded(ip) {
		l.wrong("%v is claimed, which was left to another host", ip)
	}
	switch l.host.use[ip] {
	case probing:
		if at := l.heardTest[ip]; !l.held[ip] && l.q.now.Sub(at) < 2900*time.Millisecond && l.q.now.Sub(l.firstTest[ip]) < 10*time.Second {
			l.wrong("%v is claimed %v after its host was heard to test it", ip, l.q.now.Sub(at))
		}
	case used:
		misses := l.policy.ProbeMisses
		switch l.why {
		case machine.WhyUnanswered:
			misses *= 2
		case machine.WhyFlap:
			misses = 2
		}
		last := l.questions[max(0, len(l.questions)-misses):]
		if slices.ContainsFunc(last, func(q *question) bool { return q.answered }) {
			l.wrong("%v is claimed, and its host has just answered", ip)
		}
		vain := func(q *question) bool { return q.lost && !q.at.Before(l.heardUse[ip]) }
		if l.heardUse[ip].After(l.host.since) && !l.m.NICAnswers() && !l.waits(ip) && !slices.ContainsFunc(last, vain) {
			l.wrong("%v is claimed, and its host was not asked since it used that", ip)
		}
		if l.wasAwake && l.q.now.Before(l.blind) {
			l.wrong("%v is claimed, and the porter was deaf", ip)
		}
		l.twice.stop() // until the host is heard again
		l.both = false
	}
	delete(l.kept, ip)
	l.held[ip] = true
}

// announce says who has an address, about 0, 1, 3 and 7 s after the change.
func (l *lan) announce(ip netip.Addr, after time.Duration) {
	t := l.says[ip]
	if t == nil {
		t = new(timer)
		l.says[ip] = t
	}
	from := l.q.now.Add(after)
	var say func(n int)
	say = func(n int) {
		heard := l.heardTest[ip]
		if l.host.use[ip] == probing && (l.loss == 0 && l.q.now.Sub(l.disturbed) > 15*time.Second || l.q.now.Sub(heard) < 2900*time.Millisecond) {
			l.wrong("%v is announced while its host tests it, heard %v ago", ip, l.q.now.Sub(heard))
		}
		if n++; n < 4 {
			t.set(l.q, from.Add([]time.Duration{0, 1, 3, 7}[n]*time.Second), func() { say(n) })
		}
	}
	if after > 0 {
		t.set(l.q, from, func() { say(0) })
	} else {
		say(0) // before the next action
	}
}

func (l *lan) hush(ip netip.Addr) {
	if t := l.says[ip]; t != nil {
		t.stop()
	}
}

// question notes a question that goes out.
func (l *lan) question() *question {
	q := &question{at: l.q.now}
	if len(l.questions) >= 8 {
		l.questions = slices.Delete(l.questions, 0, 1)
	}
	l.questions = append(l.questions, q)
	return q
}
