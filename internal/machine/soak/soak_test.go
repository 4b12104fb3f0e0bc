package soak

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"nightporter/internal/machine"
)

var (
	seeds = flag.Int("seeds", 2, "months to play")
	first = flag.Uint64("first-seed", 1, "seed of the first month")
	days  = flag.Int("days", 2, "days of a month")
)

// failed are seeds that showed a fault once, and what it was.
var failed = []struct {
	seed  uint64
	days  int
	fault string
}{
	{10, 1, "up at one address, and asked for another"},
	{9, 2, "up at one address, and asked for another"},
	{538, 28, "a wake failed just after a frame"},
	{183, 16, "heard between the last question and the verdict"},
	{676, 21, "a late tick, and not asked at the address where it is up"},
	{116, 28, "one address tested after the other"},
	{54, 29, "a flap, and an address that is tested"},
	{97, 20, "a flap, and heard but not asked since"},
}

// TestMonth plays months of a network of 20 machines.
func TestMonth(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, f := range failed {
		t.Run(fmt.Sprintf("seed %d, %s", f.seed, f.fault), func(t *testing.T) {
			t.Parallel()
			play(t, f.seed, f.days, false) // as it was when it failed
		})
	}
	for i := range uint64(*seeds) {
		t.Run(fmt.Sprintf("seed %d", *first+i), func(t *testing.T) {
			t.Parallel()
			play(t, *first+i, *days, true)
		})
	}
}

// network is 20 machines whose porters stop and lose their link together.
type network struct {
	q    *queue
	rand *rand.Rand
	lans []*lan
}

func play(t *testing.T, seed uint64, days int, pauses bool) {
	h := &network{q: &queue{now: time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)}, rand: rand.New(rand.NewPCG(seed, 2))}
	for i := range 20 {
		l := newLAN(h.q, seed<<8+uint64(i), func(format string, args ...any) {
			t.Fatalf("seed %d, machine %d: %s", seed, i, fmt.Sprintf(format, args...))
		})
		h.lans = append(h.lans, l)
		h.equip(l)
	}
	h.nowAndThen(3*24*time.Hour, h.porterFails)
	h.nowAndThen(2*24*time.Hour, h.linkFails)
	h.nowAndThen(4*24*time.Hour, h.prefixChanges)
	if pauses {
		h.maintain(rand.New(rand.NewPCG(seed, 3)))
	}
	h.q.run(h.q.now.Add(time.Duration(days) * 24 * time.Hour))
	for _, l := range h.lans {
		l.stop(false)
	}
}

// maintain has a machine paused, two a day on average, for up to half a day. Some
// pauses are ended before their time.
func (h *network) maintain(r *rand.Rand) {
	h.q.after(time.Duration(r.ExpFloat64()*float64(12*time.Hour)), func() {
		l := h.lans[r.IntN(len(h.lans))]
		l.pause(between(r, time.Minute, 12*time.Hour))
		if r.IntN(2) == 0 {
			h.q.after(between(r, time.Second, 6*time.Hour), func() { l.handle(machine.ResumeRequested{By: "soak"}) })
		}
		h.maintain(r)
	})
}

// nowAndThen has something happen again and again, so far apart on average.
func (h *network) nowAndThen(apart time.Duration, do func()) {
	h.q.after(time.Duration(h.rand.ExpFloat64()*float64(apart)), func() {
		do()
		h.nowAndThen(apart, do)
	})
}

func (h *network) porterFails() {
	gone, lostTail := between(h.rand, time.Second, 10*time.Minute), h.rand.IntN(5) == 0
	for _, l := range h.lans {
		l.crash(gone, lostTail)
	}
}

func (h *network) linkFails() {
	for _, l := range h.lans {
		l.link(true)
	}
	h.q.after(between(h.rand, time.Second, 20*time.Minute), func() {
		for _, l := range h.lans {
			l.link(false)
		}
	})
}

// prefixChanges: our own IPv6 address is away for a while.
func (h *network) prefixChanges() {
	for _, l := range h.lans {
		l.place(ip6, "on none of our networks")
	}
	h.q.after(between(h.rand, time.Second, 10*time.Minute), func() {
		for _, l := range h.lans {
			l.place(ip6, "")
		}
	})
}

// equip draws the properties of a machine, and schedules what happens to it.
func (h *network) equip(l *lan) {
	r := h.rand
	l.agentless = r.IntN(4) == 0
	l.unwatched = r.IntN(5) == 0
	if r.IntN(3) == 0 {
		l.loss = 0.05 // Wi-Fi
	}
	if r.IntN(4) == 0 {
		l.host.talk = between(r, 5*time.Second, time.Minute)
	}
	l.host.dhcp = r.IntN(2) == 0
	l.host.boots = between(r, time.Second, 40*time.Second)
	l.host.tests = between(r, time.Second, 9*time.Second)
	l.host.serves = between(r, 0, 30*time.Second)
	l.policy.OverrideOffload = r.IntN(5) == 0
	l.host.card = l.policy.OverrideOffload && !l.agentless && r.IntN(2) == 0
	l.host.isUp = func() {
		if !l.agentless && r.IntN(2) == 0 {
			l.q.after(l.host.tests+2*time.Second, func() { l.registers(true) })
		}
		l.awhile(r)
	}
	l.begin()
	l.registers(true)
	l.awhile(r)
	h.nowAndThen(8*time.Hour, func() { l.client(r) })
	h.nowAndThen(48*time.Hour, func() { l.handle(machine.WakeRequested{Trigger: machine.ByAPI, By: "soak"}) })
	h.nowAndThen(24*time.Hour, func() { l.switchedOn(false) })
	h.nowAndThen(36*time.Hour, func() { l.timed(r) })
	h.nowAndThen(96*time.Hour, func() { l.switchedOn(true) })
	h.nowAndThen(48*time.Hour, func() { l.liar(r) })
	h.nowAndThen(96*time.Hour, func() { l.stalls(r) })
	h.nowAndThen(120*time.Hour, func() { l.deaf(r) })
}

// awhile ends the host's present time up, now or later: each has its own way.
func (l *lan) awhile(r *rand.Rand) {
	turns := l.host.turns
	l.q.after(time.Duration(r.ExpFloat64()*float64(40*time.Minute)), func() {
		if l.host.power != up || l.host.turns != turns {
			return
		}
		switch n := r.IntN(10); {
		case n < 7 && !l.agentless && !l.cut && l.m != nil:
			l.sleeps(between(r, 0, 8*time.Second))
		case n == 7: // a restart without a word
			l.host.cut()
			l.q.after(between(r, 0, 20*time.Second), func() { l.switchedOn(false) })
		default:
			l.host.cut()
		}
	})
}

// switchedOn starts a host by hand, perhaps at another address.
func (l *lan) switchedOn(elsewhere bool) {
	if l.host.power != off {
		return
	}
	l.host.elsewhere = elsewhere
	l.host.start(l.host.boots)
}

// timed is a wake by the host's own timer, for a minute.
func (l *lan) timed(r *rand.Rand) {
	if l.host.power != off {
		return
	}
	l.switchedOn(false)
	turns := l.host.turns + 1 // its firmware, and then its system
	l.q.after(l.host.boots+between(r, 8*time.Second, time.Minute), func() {
		if l.host.turns == turns {
			l.host.cut()
		}
	})
}

// client knocks as TCP does, until it is served or gives up.
func (l *lan) client(r *rand.Rand) {
	service := []machine.Service{ssh, game}[r.IntN(2)]
	for _, after := range []int{0, 1, 3, 7, 15, 31} {
		l.q.after(time.Duration(after)*time.Second, func() {
			if !l.host.ready {
				l.knock(service)
			}
		})
	}
}

// liar sends frames in the host's name.
func (l *lan) liar(r *rand.Rand) {
	apart := between(r, 300*time.Millisecond, 3*time.Second)
	for i := range 3 + r.IntN(8) {
		e := machine.Heard{Addr: own[r.IntN(2)], Sign: machine.Sign(r.IntN(4))}
		l.q.after(time.Duration(i)*apart, func() { l.forge(e) })
	}
	e := machine.Answered{Addr: own[r.IntN(2)], Proof: machine.Proof(r.IntN(3))}
	l.q.after(between(r, time.Minute, time.Hour), func() { l.forgeAnswer(e) })
}

func (l *lan) stalls(r *rand.Rand) {
	if l.m != nil {
		l.stall(between(r, 0, 5*time.Second))
	}
}

// deaf has no magic packet reach the host for some hours.
func (l *lan) deaf(r *rand.Rand) {
	l.host.stubborn = true
	l.q.after(between(r, time.Hour, 24*time.Hour), func() { l.host.stubborn = false })
}
