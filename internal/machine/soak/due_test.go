package soak

import (
	"slices"
	"time"

	"nightporter/internal/machine"
)

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
	if l.m != nil && l.m.NICAnswers() && l.host.use[ip4] != used {
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
			l.watchBoth() // it was probed without an answer
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
	if l.m == nil || l.cut || !l.m.PausedUntil().IsZero() || l.host.power != off || !l.m.HasRegistered() && !l.agentless {
		return false
	}
	if l.host.card && !l.m.NICAnswers() || l.unwatched && !l.agentless && l.m.State() == machine.Awake {
		return false
	}
	for _, ip := range own {
		answered, held := l.held[ip]
		if !held && l.m.State() == machine.Waking {
			continue // it got its place while the machine is woken, and is claimed after that
		}
		if !l.waits(ip) && !l.m.Conceded(ip) && !answered {
			return true
		}
	}
	return false
}
