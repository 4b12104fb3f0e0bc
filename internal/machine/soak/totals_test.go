package soak

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

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
	if until := l.m.PausedUntil(); !until.IsZero() && (len(l.held) > 0 || l.m.State() != machine.Awake || l.m.Next().After(until)) {
		l.wrong("paused until %v: claimed %v, %v, next tick at %v", until, l.held, l.m.State(), l.m.Next())
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
