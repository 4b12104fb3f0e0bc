package machine_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nightporter/internal/machine"
)

var conceded = []machine.Action{
	machine.ConflictSeen{Addr: ip4, By: otherMAC}, machine.Release{Addrs: only4}, end4, machine.StopAnnouncing{Addrs: only4},
}

// rechecks counts what all hosts were asked, and forgets it.
func (l *life) rechecks() int {
	n := len(actions[machine.Recheck](l))
	l.forget()
	return n
}

func TestConflictLeavesTheAddressToTheOther(t *testing.T) {
	l := asleep(t, nil).event(conflict).want(machine.Asleep).wantActions(conceded...)
	l.event(conflict).wantActions() // told once
	if got, want := l.m.Status().Addresses[0].Reason, "another host uses it, "+otherMAC.String(); got != want {
		t.Errorf("the address is not claimed since %q, want %q", got, want)
	}
	l.event(uses(ip6)).wantActions(machine.StopAnnouncing{Addrs: only6}, machine.Yield{Addrs: only6})
	l.pass(3 * s).want(machine.Asleep).wantActions(machine.Claim{Addrs: only6})
	l.event(registered).forget().pass(3 * s).wantActions(claimBoth)
	if got := l.tally().Conflicts; got != 1 {
		t.Errorf("%d conflicts, want 1", got)
	}

	// Found before the claim, the address is never taken.
	newLife(t, nil).event(registered, conflict).pass(3*s).
		wantActions(conceded[0], machine.StopAnnouncing{Addrs: only4}, machine.Claim{Addrs: only6})
	// An address that is not the machine's, or a machine that is up, is left alone.
	asleep(t, nil).event(machine.Conflicted{Addr: client.Addr(), By: otherMAC}).wantActions()
	newLife(t, nil).event(conflict).wantActions()
}

// TestConcededAddressIsLeftAlone: it is not announced for the machine, no client
// waits for it there, and a knock at it wakes nothing.
func TestConcededAddressIsLeftAlone(t *testing.T) {
	l := asleep(t, nil).pass(time.Minute).event(frame, machine.Conflicted{Addr: ip6, By: otherMAC}).forget().event(uses(ip6)).wantActions()
	l.pass(3 * s).want(machine.Asleep).wantActions(machine.Claim{Addrs: only4}).event(knockGame).want(machine.Asleep).wantActions()

	l = waking(t, nil).event(conflict).forget().pass(s)
	for _, p := range actions[machine.Probe](l) {
		if !slices.Contains(p.Addrs, ip6) {
			t.Fatalf("asks only for %v", p.Addrs)
		}
	}
}

// TestTheOnlyAddressIsConceded: the machine sleeps all the same, and is claimed
// when the other host is gone.
func TestTheOnlyAddressIsConceded(t *testing.T) {
	l := newLife(t, nil).event(machine.Registered{Spec: moved()}, conflict).forget().pass(3 * s).want(machine.Asleep).wantActions()
	recheck := machine.Recheck{Addr: ip4}
	l.pass(30*s).wantActions(recheck, recheck, recheck, machine.ConflictOver{Addr: ip4}, machine.Claim{Addrs: only4})
	// Up meanwhile, it is watched.
	l = asleep(t, nil).event(machine.Registered{Spec: moved()}, conflict).pass(4 * s).event(uses(ip4)).up(time.Minute).want(machine.Awake)
	l.pass(25 * s).want(machine.Asleep)
	if !slices.Equal(l.m.Claimed(), only4) {
		t.Error("it is not claimed")
	}
}

// TestConcededAddressIsTakenBack once no other host answers for it any more.
func TestConcededAddressIsTakenBack(t *testing.T) {
	l := asleep(t, nil).event(conflict).forget().pass(8*s - 1)
	if n := l.rechecks(); n != 0 {
		t.Fatalf("%d questions while the other host has just been heard", n)
	}
	l.pass(16 * s)
	recheck := machine.Recheck{Addr: ip4}
	l.wantActions(recheck, recheck, recheck, machine.ConflictOver{Addr: ip4}, machine.Claim{Addrs: only4})
	if l.m.Conceded(ip4) || !slices.Contains(l.m.Claimed(), ip4) {
		t.Error("it is not claimed")
	}
	l.pass(time.Hour).wantActions()
	l.event(knockSSH).want(machine.Waking)
}

// TestConcededAddressInUse stays with the host that answers, which is asked ever
// more seldom, and costs one question each time.
func TestConcededAddressInUse(t *testing.T) {
	l := asleep(t, nil).event(conflict).forget()
	var waits []time.Duration
	for since, end := l.now, l.now.Add(time.Hour); len(waits) < 8 && l.now.Before(end); {
		l.pass(s)
		if l.rechecks() > 0 {
			l.event(conflict).wantActions()
			waits = append(waits, l.now.Sub(since))
			since = l.now
		}
	}
	if len(waits) < 8 || waits[0] > 17*s || waits[7] < 64*s || waits[7] > 129*s {
		t.Errorf("asked after %v", waits)
	}
	if !l.m.Conceded(ip4) {
		t.Error("it was taken from a host that answers")
	}
}

// TestNoRecheckForAMachineThatIsUp, or that starts: a claim would disturb it.
func TestNoRecheckForAMachineThatIsUp(t *testing.T) {
	up := func(p machine.Probe) []machine.Event { return at(ip6)(p) }
	for name, l := range map[string]*life{
		"awake":    asleep(t, nil).event(conflict, uses(ip6)).as(up, 5*s).want(machine.Awake),
		"waking":   waking(t, func(p *machine.Policy) { p.WakeAttempts = 99 }).event(conflict),
		"settling": asleep(t, nil).event(registered, conflict),
	} {
		l.forget()
		for range 300 {
			if name == "waking" {
				l.pass(500 * time.Millisecond).want(machine.Waking)
			} else {
				l.as(up, 500*time.Millisecond)
			}
		}
		if n := l.rechecks(); n > 0 {
			t.Errorf("%s: %d questions", name, n)
		}
	}
}

// TestALookThatIsInterruptedBeginsAnew: questions from before the machine spoke
// say nothing about the time after it; nor do those that could not be asked.
func TestALookThatIsInterruptedBeginsAnew(t *testing.T) {
	for name, interrupt := range map[string]func(*life){
		"the machine speaks": func(l *life) { l.event(frame).pass(3 * s).want(machine.Asleep) },
		"not asked":          func(l *life) { l.event(machine.RecheckFailed{Addr: ip4}) },
		"a wake fails":       func(l *life) { l.event(wakeAsked).pass(45 * s).want(machine.Asleep) },
	} {
		t.Run(name, func(t *testing.T) {
			l := asleep(t, nil).event(conflict).forget()
			for asked, tries := 0, 0; asked < 2 && tries < 100; tries, asked = tries+1, asked+l.rechecks() {
				l.pass(s)
			}
			interrupt(l)
			if l.pass(2*s - 1); !l.m.Conceded(ip4) {
				t.Fatal("taken after fewer than three questions")
			}
			if l.pass(20 * s); l.m.Conceded(ip4) {
				t.Error("not taken at all")
			}
		})
	}
}

// TestUndefended: the addresses of a machine that did not wake are left to a host
// that tests one, until the machine is heard (rule 3).
func TestUndefended(t *testing.T) {
	contested := machine.Contested{Addr: ip4, By: otherMAC}
	l := waking(t, nil).pass(45 * s).want(machine.Asleep)
	if o := actions[machine.Observe](l); !o[len(o)-1].Undefended {
		t.Error("the readers defend it")
	}
	seen := machine.ConflictSeen{Addr: ip4, By: otherMAC, Undefended: true}
	l.forget().event(contested).wantActions(append([]machine.Action{seen}, conceded[1:]...)...)
	if l.pass(time.Hour); l.m.Conceded(ip4) {
		t.Error("it is not taken back")
	}

	// One that was heard since, or is being woken, is defended.
	waking(t, nil).pass(45 * s).event(frame).pass(3 * s).want(machine.Asleep).forget().event(contested).wantActions()
	waking(t, nil).event(contested).wantActions()
	asleep(t, nil).event(contested).wantActions()
}

// A duel is a LAN with two porters that have the same machine. What one says the
// other hears a moment later.
type duel struct {
	porters [2]*machine.Machine
	mail    []letter
	claimed time.Time // when one of them claimed the address last
}

type letter struct {
	at       time.Time
	to       int
	question bool // otherwise "the address is at mine"
	repeated bool // said only if it is still so
}

const latency = 200 * time.Microsecond

// do has one porter handle an event.
func (d *duel) do(i int, now time.Time, e machine.Event) {
	for _, a := range d.porters[i].Handle(now, e) {
		switch a := a.(type) {
		case machine.Recheck:
			d.mail = append(d.mail, letter{at: now.Add(latency), to: 1 - i, question: true})
		case machine.Probe:
			if a.Broadcast {
				d.mail = append(d.mail, letter{at: now.Add(latency), to: 1 - i, question: true})
			}
		case machine.Claim:
			if slices.Contains(a.Addrs, ip4) {
				d.claimed = now
				for _, after := range []time.Duration{0, s, 3 * s, 7 * s} {
					d.mail = append(d.mail, letter{at: now.Add(after + latency), to: 1 - i, repeated: after > 0})
				}
			}
		}
	}
}

func (d *duel) holds(i int) bool { return slices.Contains(d.porters[i].Claimed(), ip4) }

// deliver takes a letter to its porter.
func (d *duel) deliver(l letter) {
	switch {
	case l.repeated && !d.holds(1-l.to):
	case !l.question:
		d.do(l.to, l.at, conflict)
	case d.holds(l.to):
		d.mail = append(d.mail, letter{at: l.at.Add(latency), to: 1 - l.to})
	}
}

// pass lets everything happen that is due until end, in order.
func (d *duel) pass(now, end time.Time) {
	for {
		slices.SortStableFunc(d.mail, func(a, b letter) int { return a.at.Compare(b.at) })
		next, who := end, -1
		for i, m := range d.porters {
			if at := m.Next(); !at.IsZero() && at.Before(next) {
				next, who = at, i
			}
		}
		if len(d.mail) > 0 && d.mail[0].at.Before(next) {
			l := d.mail[0]
			d.mail = d.mail[1:]
			d.deliver(l)
			continue
		}
		if who < 0 {
			return
		}
		if next.After(now) {
			now = next
		}
		d.do(who, now, machine.Ticked{})
	}
}

// TestTwoPortersAgree: both claim in the same instant, and both concede to each
// other. Whatever their numbers, soon one of them has the address for good.
func TestTwoPortersAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1_000_000, 0)
		number := rapid.Uint64().Draw(t, "number")
		numbers := [2]uint64{number, number + rapid.Uint64Range(1, 1000).Draw(t, "apart")}
		late := time.Duration(rapid.IntRange(0, 400).Draw(t, "late")) * time.Microsecond
		d := new(duel)
		for i := range d.porters {
			p := policy()
			p.Porter = numbers[i]
			d.porters[i] = machine.New(spec(), p, start)
			d.do(i, start.Add(time.Duration(i)*late), registered)
		}
		end := start.Add(20 * time.Minute)
		d.pass(start, end)
		if d.holds(0) == d.holds(1) {
			t.Fatalf("held by the one: %v, by the other: %v", d.holds(0), d.holds(1))
		}
		if took := d.claimed.Sub(start); took > time.Minute {
			t.Fatalf("it took them %v to agree", took)
		}
	})
}
