package machine_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/machine"
)

var (
	nasMAC   = ether.MAC{0x02, 0, 0, 0, 0, 0x0a}
	otherMAC = ether.MAC{0x02, 0, 0, 0, 0, 0x0b}
	ip4      = netip.MustParseAddr("10.77.0.20")
	ip6      = netip.MustParseAddr("fd77::20")
	away4    = netip.MustParseAddr("10.77.0.77") // not registered
	ssh      = machine.Service{Addr: ip4, Port: machine.Port{Protocol: machine.TCP, Number: 22}}
	game     = machine.Service{Addr: ip6, Port: machine.Port{Protocol: machine.UDP, Number: 27015}}
	client   = netip.MustParseAddrPort("10.77.0.10:40000")
)

// The events of most tests.
var (
	registered = machine.Registered{Spec: spec()}
	isHere     = machine.Registered{Spec: spec(), Here: true}
	knockSSH   = machine.Knocked{Service: ssh, Source: client}
	knockGame  = machine.Knocked{Service: game, Source: client}
	wakeAsked  = machine.WakeRequested{Trigger: machine.ByAPI, By: "test"}
	ready      = machine.ServicesReady{All: true}
	conflict   = machine.Conflicted{Addr: ip4, By: otherMAC}
	frame      = machine.Heard{} // such as a DHCP discovery
)

// requested is what a wake that is asked for leads to in a state in which the machine
// gets one magic packet.
func requested(s machine.State) machine.Action {
	return machine.MagicRequested{Trigger: machine.ByAPI, By: "test", State: s}
}

func tests(ip netip.Addr) machine.Event  { return machine.Heard{Addr: ip, Sign: machine.Tests} }
func uses(ip netip.Addr) machine.Event   { return machine.Heard{Addr: ip, Sign: machine.Uses} }
func data(ip netip.Addr) machine.Event   { return machine.Heard{Addr: ip, Sign: machine.Data} }
func answer(ip netip.Addr) machine.Event { return machine.Answered{Addr: ip} }
func free(ips ...netip.Addr) machine.Event {
	var e machine.Placed
	for _, ip := range ips {
		e.Places = append(e.Places, machine.Place{Addr: ip})
	}
	return e
}

func waits(ip netip.Addr) machine.Event {
	return machine.Placed{Places: []machine.Place{{Addr: ip, Reason: noNetwork}}}
}

const noNetwork = "on none of our networks"

// The actions of most tests.
var (
	both         = []netip.Addr{ip4, ip6}
	only4        = both[:1]
	only6        = both[1:]
	knockOnSSH   = machine.WakeBegan{Trigger: machine.ByTCP, Service: ssh, Source: client}
	claimBoth    = machine.Claim{Addrs: both}
	claimQuietly = machine.Claim{Addrs: both, Quiet: true}
	releaseBoth  = machine.Release{Addrs: both}
	announce4    = machine.Announce{Addrs: only4}
	announce6    = machine.Announce{Addrs: only6}
	end4         = machine.EndClaim{Addrs: only4}
	end6         = machine.EndClaim{Addrs: only6}
	quietBoth    = machine.StopAnnouncing{Addrs: both}
	firstMagic   = machine.SendMagic{Attempt: 1}
	goesOn       = machine.WakeBegan{Trigger: machine.ByTCP, Service: ssh, Source: client, GoesOn: true}
)

func spec() machine.Spec {
	return machine.Spec{
		Name: "nas", MAC: nasMAC, IdleWatts: 52, SleepWatts: 2,
		Monitor: []machine.Address{
			{IP: ip4, Ports: []machine.Port{ssh.Port}},
			{IP: ip6, Ports: []machine.Port{game.Port}},
		},
	}
}

// policy is the default of the configuration, with half as many attempts.
func policy() machine.Policy {
	return machine.Policy{
		ProbeInterval: time.Second, ProbeMisses: 3, ProbeTimeout: 10 * time.Minute, WatchInterval: 10 * time.Second,
		WakeAttempts: 3, WakeInterval: 15 * time.Second, Keep: true, ReadyTimeout: time.Minute,
	}
}

// unwatched is a policy without questions to machines that are awake.
func unwatched(p *machine.Policy) { p.WatchInterval = 0 }

// brisk is a policy whose misses are over long before the pause of a start.
func brisk(p *machine.Policy) { p.ProbeInterval = 100 * time.Millisecond }

// life drives one machine through time and keeps what it asked for.
type life struct {
	t   *testing.T
	m   *machine.Machine
	now time.Time
	log []machine.Action // since the last call of forget or wantActions

	gone bool // the machine was forgotten
}

func newLife(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return lifeOf(t, spec(), change)
}

func lifeOf(t *testing.T, s machine.Spec, change func(*machine.Policy)) *life {
	t.Helper()
	p := policy()
	if change != nil {
		change(&p)
	}
	now := time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)
	return &life{t: t, m: machine.New(s, p, now), now: now}
}

func (l *life) event(es ...machine.Event) *life {
	for _, e := range es {
		l.log = append(l.log, l.m.Handle(l.now, e)...)
	}
	return l
}

// pass lets time go by with a machine that is off, up with one that runs.
func (l *life) pass(d time.Duration) *life { l.t.Helper(); return l.as(unanswered, d) }
func (l *life) up(d time.Duration) *life   { l.t.Helper(); return l.as(running, d) }

// away stops the porter with everything in l, and starts it again later.
func (l *life) away(d time.Duration) *life {
	mem, seen := l.m.Memory(), l.now
	l.now = l.now.Add(d)
	l.m = machine.Restore(mem, policy(), seen, l.now)
	return l.forget()
}

func (l *life) forget() *life { l.log = nil; return l }

func (l *life) want(s machine.State) *life {
	l.t.Helper()
	if got := l.m.State(); got != s {
		l.t.Fatalf("state is %v, want %v; so far:\n%s", got, s, l.story())
	}
	return l
}

// story tells the actions in short lines, probes left out.
func (l *life) story() string {
	var b strings.Builder
	for _, a := range l.log {
		if _, probe := a.(machine.Probe); !probe {
			fmt.Fprintf(&b, "%T%+v\n", a, a)
		}
	}
	return b.String()
}

// wantActions compares what was done since the last look. What follows from the
// state alone (Moved, what the readers and the hold do, Persist) has tests of its own,
// and so have the repetitions of a magic packet.
func (l *life) wantActions(want ...machine.Action) *life {
	l.t.Helper()
	var got []machine.Action
	for _, a := range l.log {
		switch a := a.(type) {
		case machine.Probe, machine.Moved, machine.Observe, machine.FilterKnocks, machine.Hold, machine.Persist:
		case machine.SendMagic:
			if !a.Again {
				got = append(got, a)
			}
		default:
			got = append(got, a)
		}
	}
	opts := cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.EquateEmpty()}
	if d := cmp.Diff(want, got, opts); d != "" {
		l.t.Fatalf("actions (-want +got):\n%s", d)
	}
	l.log = nil
	return l
}

// actions returns those of one type since the last look.
func actions[A machine.Action](l *life) (as []A) {
	for _, a := range l.log {
		if a, ok := a.(A); ok {
			as = append(as, a)
		}
	}
	return as
}

func (l *life) reason(from, to machine.State, why machine.Reason) *life {
	l.t.Helper()
	for _, m := range actions[machine.Moved](l) {
		if m.From == from && m.To == to && m.Why == why {
			return l
		}
	}
	l.t.Fatalf("no move %v -> %v (%s); so far:\n%s", from, to, why, l.story())
	return l
}

func (l *life) tally() machine.Tally { return l.m.Status().Tally }

func asleep(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return newLife(t, change).event(registered).pass(3 * time.Second).want(machine.Asleep).forget()
}

func waking(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return asleep(t, change).event(knockSSH).want(machine.Waking).forget()
}

// arriving is a life whose machine uses its IPv4 address, and not yet the other.
func arriving(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return waking(t, change).pass(5 * time.Second).event(answer(ip4)).want(machine.Arriving).forget()
}

// awake is a life whose machine was woken, and answers.
func awake(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return arriving(t, change).event(ready).up(time.Minute).want(machine.Awake).forget()
}

// rounds returns how many rounds of magic packets were begun since the last look.
func (l *life) rounds() (n int) {
	for _, a := range actions[machine.SendMagic](l) {
		if !a.Again {
			n++
		}
	}
	return n
}
