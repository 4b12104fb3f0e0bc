package machine_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nightporter/internal/machine"
)

var (
	conflict = machine.Conflicted{Addr: ip4, By: otherMAC}
	first    = both[:1]
)

// asks counts what everybody was asked, and forgets it.
func (l *life) asks() (n int) {
	for _, a := range l.log {
		if _, ask := a.(machine.Ask); ask {
			n++
		}
	}
	l.forget()
	return n
}

// TestConcededAddressIsTakenBack once nobody answers for it any more.
func TestConcededAddressIsTakenBack(t *testing.T) {
	l := asleep(t, nil).event(conflict).forget().pass(8*time.Second - 1)
	if n := l.asks(); n != 0 {
		t.Fatalf("%d questions while the other host has just been heard", n)
	}
	l.pass(16 * time.Second)
	ask := machine.Ask{Addr: ip4}
	l.wantActions(ask, ask, ask, machine.ConflictOver{Addr: ip4}, machine.Claim{Addrs: first})
	if l.m.Conceded(ip4) || !slices.Contains(l.m.Claimed(), ip4) {
		t.Error("it is not claimed")
	}
	l.pass(time.Hour).wantActions()
	l.event(machine.Knocked{Service: ssh, Source: client}).want(machine.Waking)
}

// TestConcededAddressInUse stays with the host that answers, which is asked ever
// more seldom, and costs one question each time.
func TestConcededAddressInUse(t *testing.T) {
	l := asleep(t, nil).event(conflict).forget()
	var waits []time.Duration
	for since, end := l.now, l.now.Add(time.Hour); len(waits) < 8 && l.now.Before(end); {
		l.pass(time.Second)
		if n := l.asks(); n > 0 {
			l.event(conflict).wantActions()
			waits = append(waits, l.now.Sub(since))
			since = l.now
		}
	}
	if len(waits) < 8 || waits[0] > 17*time.Second || waits[7] < 64*time.Second || waits[7] > 129*time.Second {
		t.Errorf("asked after %v", waits)
	}
	if !l.m.Conceded(ip4) {
		t.Error("it was taken from a host that answers")
	}
}

// TestNobodyIsAskedForAMachineThatIsUp, or that starts: a claim would disturb it.
func TestNobodyIsAskedForAMachineThatIsUp(t *testing.T) {
	up := asleep(t, nil).event(conflict)
	for range 5 {
		up.event(machine.Heard{Addr: ip6, InUse: true}).pass(time.Second)
	}
	for name, l := range map[string]*life{
		"awake":    up.want(machine.Awake),
		"waking":   waking(t, func(p *machine.Policy) { p.WakeAttempts = 99 }).event(conflict),
		"settling": asleep(t, nil).event(conflict).event(machine.Heard{}),
	} {
		l.forget()
		for range 300 {
			l.pass(500 * time.Millisecond).event(machine.Heard{})
			if name == "waking" {
				l.want(machine.Waking)
			}
		}
		if n := l.asks(); n > 0 {
			t.Errorf("%s: %d questions", name, n)
		}
	}
}

// TestALookThatIsInterruptedBeginsAnew: questions from before the machine spoke
// say nothing about the time after it; nor do those that could not be asked.
func TestALookThatIsInterruptedBeginsAnew(t *testing.T) {
	for name, interrupt := range map[string]func(*life){
		"the machine speaks": func(l *life) { l.event(machine.Heard{}).pass(4 * time.Second).want(machine.Asleep) },
		"nobody is asked":    func(l *life) { l.event(machine.Unasked{Addr: ip4}) },
		"a wake fails": func(l *life) {
			l.event(machine.WakeAsked{Trigger: machine.ByAPI}).pass(45 * time.Second).want(machine.Asleep)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := asleep(t, nil).event(conflict).forget()
			for asked, tries := 0, 0; asked < 2 && tries < 100; tries, asked = tries+1, asked+l.asks() {
				l.pass(time.Second)
			}
			interrupt(l)
			if l.pass(2*time.Second - 1); !l.m.Conceded(ip4) {
				t.Fatal("taken after fewer than three questions")
			}
			l.pass(20 * time.Second)
			if l.m.Conceded(ip4) {
				t.Error("not taken at all")
			}
		})
	}
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
		case machine.Ask:
			d.mail = append(d.mail, letter{at: now.Add(latency), to: 1 - i, question: true})
		case machine.Probe:
			if a.Broadcast {
				d.mail = append(d.mail, letter{at: now.Add(latency), to: 1 - i, question: true})
			}
		case machine.Claim:
			if slices.Contains(a.Addrs, ip4) {
				d.claimed = now
				for _, after := range []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second} {
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

// TestTwoPortersAgree: both claim in the same instant, and both give way to each
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
			d.do(i, start.Add(time.Duration(i)*late), machine.Registered{Spec: spec()})
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
