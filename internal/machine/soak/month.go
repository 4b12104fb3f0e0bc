package soak

import (
	"fmt"
	"math/rand/v2"
	"time"
)

const day = 24 * time.Hour

// network is 20 machines whose porters crash and lose their link together.
type network struct {
	q         *queue
	rand      *rand.Rand
	scenarios []*scenario
}

// play plays days of a network that is drawn from a seed. A failed check calls fail, which
// does not return.
func play(seed uint64, days int, pauses bool, fail func(format string, args ...any)) {
	n := &network{q: &queue{now: time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)}, rand: rand.New(rand.NewPCG(seed, 2))}
	for i := range 20 {
		p := newPorter(n.q, seed<<8+uint64(i), func(format string, args ...any) {
			fail("seed %d, machine %d: %s", seed, i, fmt.Sprintf(format, args...))
		})
		s := &scenario{porter: p, choices: n.rand}
		n.scenarios = append(n.scenarios, s)
		n.equip(s)
		n.schedule(s)
	}
	n.repeat(3*day, n.crash)
	n.repeat(2*day, n.cutLink)
	n.repeat(4*day, n.changePrefix)
	if pauses {
		n.maintain(rand.New(rand.NewPCG(seed, 3)))
	}
	n.q.run(n.q.now.Add(time.Duration(days) * day))
	for _, s := range n.scenarios {
		s.stop(false)
	}
}

// equip draws the properties of a machine.
func (n *network) equip(s *scenario) {
	r := n.rand
	s.agentless = r.IntN(4) == 0
	s.unwatched = r.IntN(5) == 0
	if r.IntN(3) == 0 {
		s.loss = 0.05 // Wi-Fi
	}
	if r.IntN(4) == 0 {
		s.host.talkInterval = between(r, 5*time.Second, time.Minute)
	}
	s.host.dhcp = r.IntN(2) == 0
	s.host.bootTime = between(r, time.Second, 40*time.Second)
	s.host.testTime = between(r, time.Second, 9*time.Second)
	s.host.serviceDelay = between(r, 0, 30*time.Second)
	s.policy.OverrideOffload = r.IntN(5) == 0
	s.host.nicReplies = s.policy.OverrideOffload && !s.agentless && r.IntN(2) == 0
}

// schedule begins with a machine that is up, and schedules what happens to it.
func (n *network) schedule(s *scenario) {
	s.host.onUp = func() {
		if !s.agentless && n.rand.IntN(2) == 0 {
			s.q.after(s.host.testTime+2*time.Second, func() { s.register(true) })
		}
		s.sleepLater()
	}
	s.begin()
	s.register(true)
	s.sleepLater()
	n.repeat(8*time.Hour, s.client)
	n.repeat(48*time.Hour, func() { s.requestWake(false) })
	n.repeat(24*time.Hour, func() { s.switchOn(false) })
	n.repeat(36*time.Hour, s.startByTimer)
	n.repeat(96*time.Hour, func() { s.switchOn(true) })
	n.repeat(48*time.Hour, s.forgeSome)
	n.repeat(96*time.Hour, s.stallBriefly)
	n.repeat(120*time.Hour, s.ignoreMagic)
}

// repeat makes something happen again and again, with a mean time between.
func (n *network) repeat(mean time.Duration, do func()) {
	n.q.after(time.Duration(n.rand.ExpFloat64()*float64(mean)), func() {
		do()
		n.repeat(mean, do)
	})
}

// maintain pauses two machines a day on average, for up to half a day. One of two pauses is
// ended by a request, if it lasts until then.
func (n *network) maintain(r *rand.Rand) {
	n.q.after(time.Duration(r.ExpFloat64()*float64(12*time.Hour)), func() {
		s := n.scenarios[r.IntN(len(n.scenarios))]
		s.pause(between(r, time.Minute, 12*time.Hour))
		if r.IntN(2) == 0 {
			n.q.after(between(r, time.Second, 6*time.Hour), s.endPause)
		}
		n.maintain(r)
	})
}

// crash ends all porters for up to ten minutes.
func (n *network) crash() {
	after, lostTail := between(n.rand, time.Second, 10*time.Minute), n.rand.IntN(5) == 0
	for _, s := range n.scenarios {
		s.crash(after, lostTail)
	}
}

// cutLink takes the link of all porters down for up to 20 minutes.
func (n *network) cutLink() {
	for _, s := range n.scenarios {
		s.setLink(true)
	}
	n.q.after(between(n.rand, time.Second, 20*time.Minute), func() {
		for _, s := range n.scenarios {
			s.setLink(false)
		}
	})
}

// changePrefix takes the porters' own IPv6 addresses away for up to ten minutes.
func (n *network) changePrefix() {
	for _, s := range n.scenarios {
		s.setNetwork(ip6, "on none of our networks")
	}
	n.q.after(between(n.rand, time.Second, 10*time.Minute), func() {
		for _, s := range n.scenarios {
			s.setNetwork(ip6, "")
		}
	})
}
