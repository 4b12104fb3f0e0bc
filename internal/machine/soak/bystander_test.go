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
	shownAt time.Time
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
	case machine.WakeAsked:
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
	switch a := a.(type) {
	case machine.Claim:
		for _, ip := range a.Addrs {
			l.claims(ip, a.AnnounceAfter)
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
	case machine.Moved:
		if a.To != machine.Asleep {
			l.why = a.Why
		}
	case machine.WakeBegan:
		l.sent = 0
	case machine.SendMagic:
		if l.granted > 0 && l.m.State() != machine.Waking {
			l.granted--
		} else if l.sent++; l.sent > l.policy.WakeAttempts {
			l.wrong("%d magic packets in one wake", l.sent)
		}
	case machine.Forget:
		if len(l.held) > 0 || len(l.kept) > 0 {
			l.wrong("forgotten with %v claimed and %v kept", l.held, l.kept)
		}
	}
}

// claims: nothing is claimed that the host uses or tests, unless too many questions
// or answers were lost.
func (l *lan) claims(ip netip.Addr, announceAfter time.Duration) {
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
		if l.why == machine.WhyUnanswered {
			misses *= 2
		}
		last := l.questions[max(0, len(l.questions)-misses):]
		if slices.ContainsFunc(last, func(q *question) bool { return q.answered }) {
			l.wrong("%v is claimed, and its host has just answered", ip)
		}
		vain := func(q *question) bool { return q.lost && !q.at.Before(l.heardUse[ip]) }
		if l.heardUse[ip].After(l.host.since) && !l.m.CardAnswers() && !slices.ContainsFunc(last, vain) {
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
	l.announce(ip, announceAfter)
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
	t.set(l.q, from, func() { say(0) })
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

// heardHonest notes a frame of the host itself that the porter heard.
func (l *lan) heardHonest(e machine.Heard) {
	if e.Sign == machine.Tests {
		if l.q.now.Sub(l.heardTest[e.Addr]) > 2900*time.Millisecond {
			l.firstTest[e.Addr] = l.q.now // or one in between was lost
		}
		l.heardTest[e.Addr] = l.q.now
		if l.held[e.Addr] {
			l.wrong("%v is answered for while its host tests it", e.Addr)
		}
	}
	if e.Sign == machine.Uses {
		l.heardUse[e.Addr] = l.q.now
	}
	if !l.both && l.overlap() {
		l.both = true
		l.watchBoth()
	}
}

// overlap reports whether the porter answers for an address that the host uses. One
// whose card answers in its sleep can only be known to be up by TCP.
func (l *lan) overlap() bool {
	if l.m != nil && l.m.CardAnswers() && l.host.use[ip4] != used {
		return false
	}
	for ip, answered := range l.held {
		if answered && l.host.use[ip] != unused {
			return true
		}
	}
	return false
}

func (l *lan) watchBoth() {
	from := l.q.now
	l.twice.set(l.q, from.Add(askedFor), func() {
		if slices.ContainsFunc(l.questions, func(q *question) bool { return q.lost && !q.at.Before(from) }) {
			l.watchBoth() // it was asked in vain
			return
		}
		l.wrong("answered for %v after its host was heard", askedFor)
	})
}

// excuse puts off the time by which a machine that is off has to be claimed.
func (l *lan) excuse() {
	if l.waiting {
		l.unclaimed.stop()
		l.waiting = false
		l.review()
	}
}

// review looks at who answers now.
func (l *lan) review() {
	if !l.overlap() && l.both {
		l.both = false
		l.twice.stop()
	}
	switch missing := l.missing(); {
	case missing && !l.waiting:
		l.waiting = true
		from := l.q.now
		if l.blind.After(from) {
			from = l.blind
		}
		l.unclaimed.set(l.q, from.Add(unclaimedFor), func() { l.overdue(from) })
	case !missing && l.waiting:
		l.waiting = false
		l.unclaimed.stop()
	}
}

func (l *lan) overdue(from time.Time) {
	if l.q.now.Sub(from) < unclaimedFor+testedFor && l.forged.Add(unclaimedFor+testedFor).After(l.q.now) {
		l.unclaimed.set(l.q, from.Add(unclaimedFor+testedFor), func() { l.overdue(from) })
		return
	}
	l.wrong("off since %v, and not claimed for %v: %v", l.host.since.Format(time.TimeOnly), l.q.now.Sub(from), l.m.State())
}

// missing reports whether the host is off and an address that could be claimed is
// not answered for.
func (l *lan) missing() bool {
	if l.m == nil || l.cut || l.host.power != off || !l.m.HasRegistered() && !l.agentless {
		return false
	}
	if l.host.card && !l.m.CardAnswers() || l.unwatched && !l.agentless && l.m.State() == machine.Awake {
		return false
	}
	for _, ip := range own {
		waits := slices.ContainsFunc(l.places, func(p machine.Place) bool { return p.Addr == ip })
		answered, held := l.held[ip]
		if !held && l.m.State() == machine.Waking {
			continue // it got its place while the machine is woken, and is claimed after that
		}
		if !waits && !l.m.Conceded(ip) && !answered {
			return true
		}
	}
	return false
}

// check compares what the porter was asked to do with what the machine believes.
func (l *lan) check(ticked, moved bool) {
	if l.tickAt != l.q.now {
		l.tickAt, l.ticks = l.q.now, 0
	}
	if next := l.m.Next(); ticked && !next.IsZero() && !next.After(l.q.now) {
		if l.ticks++; l.ticks > 3 {
			l.wrong("%d ticks at one moment while %v", l.ticks, l.m.State())
		}
	}
	if !moved {
		return
	}
	l.checkTotals()
	var held, answered []netip.Addr
	for _, ip := range own {
		answers, ok := l.held[ip]
		if ok {
			held = append(held, ip)
		}
		if answers {
			answered = append(answered, ip)
		}
	}
	if !slices.Equal(held, l.m.Claimed()) || !slices.Equal(answered, l.m.Answered()) {
		l.wrong("claimed %v, answered for %v; the machine says %v, %v", held, answered, l.m.Claimed(), l.m.Answered())
	}
}

// checkTotals: no total falls, also over a restart.
func (l *lan) checkTotals() {
	s := l.m.Status()
	slept, before, after := s.Slept(l.q.now), &l.shown.Tally, &s.Tally
	switch {
	case slept < l.slept, after.SavedJoules < before.SavedJoules && slept < l.slept:
		l.wrong("slept %v, and %v before", slept, l.slept)
	case after.ExternalStarts < before.ExternalStarts, after.Conflicts < before.Conflicts, after.SettleTimeouts < before.SettleTimeouts:
		l.wrong("totals %+v after %+v", after, before)
	}
	for i := range after.Wakes {
		if after.Wakes[i] < before.Wakes[i] || after.Failures[i] < before.Failures[i] {
			l.wrong("totals %+v after %+v", after, before)
		}
	}
	for _, k := range l.shown.Knocks {
		if s.Knocks.Of(k.Port) < k.Count {
			l.wrong("knocks %v after %v", s.Knocks, l.shown.Knocks)
		}
	}
	l.shown, l.slept = s, slept
}

// leave forgets what a porter did that is no more. Where its last record was lost
// its totals were too.
func (l *lan) leave(lostTail bool) {
	for ip := range l.says {
		l.hush(ip)
	}
	l.bystander.reset()
	if lostTail {
		l.shown, l.slept = machine.Status{}, 0
	}
	l.sent, l.granted = 0, 0
	l.note(fmt.Sprintf("the porter is gone, lost tail %t", lostTail))
}

// stop ends the porter in good order: nothing stays behind.
func (l *lan) stop(wake bool) {
	if l.m == nil {
		return
	}
	l.stalled = time.Time{}
	l.handle(machine.Stopped{Wake: wake})
	l.ended = true
	l.q.run(l.q.now)
	if len(l.held) > 0 || len(l.kept) > 0 || l.hold != machine.Ignore {
		l.wrong("stopped with %v claimed, %v kept, hold %v", l.held, l.kept, l.hold)
	}
	l.tick.stop()
}
