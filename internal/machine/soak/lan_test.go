package soak

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

var (
	mac    = ether.MAC{0x02, 0, 0, 0, 0, 0x0a}
	rival  = ether.MAC{0x02, 0, 0, 0, 0, 0x0b}
	ip4    = netip.MustParseAddr("10.77.0.20")
	ip6    = netip.MustParseAddr("fd77::20")
	away   = netip.MustParseAddr("10.77.0.77")
	own    = []netip.Addr{ip4, ip6}
	ssh    = machine.Service{Addr: ip4, Port: machine.Port{Protocol: machine.TCP, Number: 22}}
	game   = machine.Service{Addr: ip6, Port: machine.Port{Protocol: machine.UDP, Number: 27015}}
	client = netip.MustParseAddrPort("10.77.0.10:40000")
)

func spec() machine.Spec {
	return machine.Spec{
		Name: "nas", MAC: mac, IdleWatts: 52, SleepWatts: 2,
		Monitor: []machine.Address{{IP: ip4, Ports: []machine.Port{ssh.Port}}, {IP: ip6, Ports: []machine.Port{game.Port}}},
	}
}

// policy is the default of the configuration.
func policy() machine.Policy {
	return machine.Policy{
		ProbeInterval: time.Second, ProbeMisses: 3, ProbeTimeout: 10 * time.Minute, WatchInterval: 10 * time.Second,
		WakeAttempts: 6, WakeInterval: 15 * time.Second, WakeTimeout: 5 * time.Minute, Keep: true, ReadyTimeout: time.Minute,
	}
}

// lan is one host, its porter, and the bystander who sees both.
type lan struct {
	fail func(format string, args ...any)
	q    *queue
	rand *rand.Rand

	host host
	m    *machine.Machine // nil while the porter is away
	bystander

	policy    machine.Policy
	agentless bool
	unwatched bool

	loss    float64             // of frames, both ways
	drop    int                 // so many questions to come are lost
	cut     bool                // our own link is out
	closed  time.Time           // until then the switch keeps our port to itself
	places  []machine.Place     // that cannot be claimed at present
	rivals  map[netip.Addr]bool // addresses that another host uses
	ended   bool                // the porter stopped in good order
	stalled time.Time           // the porter handles nothing before

	tick      timer
	attention machine.Attention
	hold      machine.HoldMode
	expects   bool // clients wait for services
	memory    machine.Memory
	earlier   machine.Memory // the record before, of which the last may be lost
}

func newLAN(q *queue, seed uint64, fail func(string, ...any)) *lan {
	l := &lan{fail: fail, q: q, rand: rand.New(rand.NewPCG(seed, 1)), policy: policy(), rivals: map[netip.Addr]bool{}}
	l.host = host{l: l, use: map[netip.Addr]use{}, boots: 5 * time.Second, tests: 5 * time.Second, serves: time.Second, isUp: func() {}}
	l.bystander.reset()
	return l
}

// begin has the porter know the machine, which is up.
func (l *lan) begin() {
	l.host.power, l.host.since, l.host.ready = up, l.q.now, true
	l.host.use[ip4], l.host.use[ip6] = used, used
	s := spec()
	s.Agentless = l.agentless
	l.m = machine.New(s, l.policy, l.q.now)
	l.memory = l.m.Memory()
	l.earlier = l.memory
	l.configure()
}

func (l *lan) configure() {
	l.handle(machine.Configured{Agentless: l.agentless, Unwatched: l.unwatched, Permanent: true})
}

// register has the host say that it sleeps soon, or that it is here.
func (l *lan) register(here bool) {
	s := spec()
	s.Agentless, s.Unwatched = l.agentless, l.unwatched
	l.handle(machine.Registered{Spec: s, Here: here, Places: l.places})
}

// hear has the porter hear a frame, unless it is lost or not looked out for.
func (l *lan) hear(e machine.Heard, honest bool) {
	switch {
	case l.m == nil || l.cut || l.q.now.Before(l.closed) || l.lost():
	case l.attention == machine.ObserveNothing, l.attention == machine.ObserveNeighbor && e.Sign == machine.Data:
	default:
		l.handleThen(e, func() {
			if honest {
				l.heardHonest(e)
			}
		})
	}
}

// lostTwice reports whether a question or its answer is lost.
func (l *lan) lostTwice() bool { there, back := l.lost(), l.lost(); return there || back }

func (l *lan) lost() bool { return l.loss > 0 && l.rand.Float64() < l.loss }

// handle has the porter take an event, do what follows, and look at its timer.
func (l *lan) handle(e machine.Event) { l.handleThen(e, func() {}) }

func (l *lan) handleThen(e machine.Event, then func()) {
	if l.m == nil || l.ended {
		return
	}
	if l.q.now.Before(l.stalled) {
		porter := l.m
		l.q.at(l.stalled, func() {
			if l.m == porter {
				l.handleThen(e, then)
			}
		})
		return
	}
	_, ticked := e.(machine.Ticked)
	_, stopped := e.(machine.Stopped)
	actions := l.m.Handle(l.q.now, e)
	l.expect(e)
	for i, a := range actions {
		l.do(a)
		if _, ok := a.(machine.Persist); ok && i != len(actions)-1 {
			l.fail("%v: Persist is action %d of %d", e, i, len(actions))
		}
	}
	if slices.ContainsFunc(actions, func(a machine.Action) bool { _, ok := a.(machine.Forget); return ok }) {
		l.m = nil
		l.tick.stop()
		l.review()
		return
	}
	l.check(ticked, slices.ContainsFunc(actions, moves))
	if stopped {
		return
	}
	if due := l.m.Next(); due.IsZero() {
		l.tick.stop()
	} else {
		if due.Before(l.q.now) {
			due = l.q.now
		}
		l.tick.set(l.q, due.Add(l.late()), func() { l.handle(machine.Ticked{}) })
	}
	then()
	l.review()
}

// moves reports whether an action is more than a question.
func moves(a machine.Action) bool {
	_, probe := a.(machine.Probe)
	return !probe
}

// late is how much a timer of a busy host is late.
func (l *lan) late() time.Duration { return time.Duration(l.rand.Int64N(int64(20 * time.Millisecond))) }

// do carries out one action.
func (l *lan) do(a machine.Action) {
	l.see(a)
	switch a := a.(type) {
	case machine.Observe:
		l.attention = a.Attention
	case machine.Hold:
		l.hold = a.Mode
	case machine.Probe:
		l.ask(a)
	case machine.Recheck:
		switch {
		case l.cut:
			l.q.after(0, func() { l.handle(machine.RecheckFailed(a)) })
		case l.rivals[a.Addr]:
			l.q.after(time.Millisecond, func() { l.handle(machine.Conflicted{Addr: a.Addr, By: rival}) })
		}
	case machine.SendMagic:
		if l.host.power == off && !l.host.stubborn && !l.cut && !l.lost() {
			l.host.start(l.host.boots)
		}
	case machine.CheckServices:
		l.expects = true
		l.serve()
	case machine.Persist:
		l.earlier, l.memory = l.memory, l.m.Memory()
	}
}

// serve lets clients in that wait, once the services are ready.
func (l *lan) serve() {
	if l.m == nil || !l.expects || !l.host.ready {
		return
	}
	l.expects = false
	l.q.after(5*time.Millisecond, func() { l.handle(machine.ServicesReady{All: true}) })
}

// ask sends a question, which may be lost, as its answers may.
func (l *lan) ask(p machine.Probe) {
	if l.cut {
		l.q.after(0, func() { l.handle(machine.ProbeFailed{}) })
		return
	}
	asked := l.question()
	if l.drop > 0 || l.q.now.Before(l.closed) {
		l.drop = max(0, l.drop-1)
		asked.lost = true
		return
	}
	for _, ip := range p.Addrs {
		if p.Broadcast && l.rivals[ip] {
			l.q.after(time.Millisecond, func() { l.handle(machine.Conflicted{Addr: ip, By: rival}) })
		}
		for _, proof := range l.host.answers(ip, p.System) {
			if l.lostTwice() {
				asked.lost = true
				continue
			}
			if l.host.power == up && proof >= l.m.NeededProof() {
				asked.answered = true
			}
			l.q.after(time.Millisecond, func() { l.handle(machine.Answered{Addr: ip, Proof: proof}) })
		}
	}
}

// knock is a packet of a client, which comes to us where it is not held off.
func (l *lan) knock(s machine.Service) {
	if l.m == nil || l.cut || l.hold == machine.Ignore || l.hold == machine.AdmitAll {
		return
	}
	l.handle(machine.Knocked{Service: s, Source: client})
}

// place says that an address can be claimed from now on, or why it cannot.
func (l *lan) place(ip netip.Addr, reason string) {
	l.places = slices.DeleteFunc(l.places, func(p machine.Place) bool { return p.Addr == ip })
	if reason != "" {
		l.places = append(l.places, machine.Place{Addr: ip, Reason: reason})
	}
	l.excuse()
	l.handle(machine.Placed{Places: []machine.Place{{Addr: ip, Reason: reason}}})
	l.review()
}

// waits reports whether an address cannot be claimed, nor asked for, at present.
func (l *lan) waits(ip netip.Addr) bool {
	return slices.ContainsFunc(l.places, func(p machine.Place) bool { return p.Addr == ip })
}

// link takes our own link away, or brings it back.
func (l *lan) link(out bool) {
	if l.cut == out {
		return
	}
	l.cut, l.disturbed = out, l.q.now
	if !out {
		l.deafen()
	}
	l.review()
}

func (l *lan) deafen() {
	l.blind = l.q.now.Add(30 * time.Second)
	l.excuse()
	l.wasAwake = l.m != nil && l.m.State() == machine.Awake
	l.handle(machine.ReceptionLost{Until: l.blind})
}

// crash ends the porter without a word. It comes back with what was stored, or with
// the record before where the last one was lost.
func (l *lan) crash(d time.Duration, lostTail bool) {
	if l.m == nil {
		return
	}
	mem, until := l.memory, l.q.now
	if lostTail {
		mem = l.earlier
		l.memory = mem
	}
	l.leave(lostTail)
	l.m, l.stalled, l.ended = nil, time.Time{}, false
	l.tick.stop()
	l.expects = false
	l.q.after(d, func() { l.resume(mem, until) })
}

// resume has the porter come back.
func (l *lan) resume(mem machine.Memory, until time.Time) {
	l.m = machine.Restore(mem, l.policy, until, l.q.now)
	l.attention, l.hold = machine.ObserveNothing, machine.Ignore
	l.checkTotals()
	if len(l.places) > 0 {
		l.handle(machine.Placed{Places: l.places})
	}
	l.configure()
	l.deafen()
	if l.rand.IntN(4) == 0 {
		l.closed = l.q.now.Add(between(l.rand, time.Second, 25*time.Second))
		l.disturbed = l.closed
	}
}
