package machine_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/machine"
)

var (
	nasMAC   = machine.MAC{0x02, 0, 0, 0, 0, 0x0a}
	otherMAC = machine.MAC{0x02, 0, 0, 0, 0, 0x0b}
	ip4      = netip.MustParseAddr("10.77.0.20")
	ip6      = netip.MustParseAddr("fd77::20")
	ssh      = machine.Service{Addr: ip4, Port: machine.Port{Protocol: machine.TCP, Number: 22}}
	game     = machine.Service{Addr: ip6, Port: machine.Port{Protocol: machine.UDP, Number: 27015}}
	client   = netip.MustParseAddrPort("10.77.0.10:40000")
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

func policy() machine.Policy {
	return machine.Policy{
		ProbeInterval: time.Second, ProbeMisses: 3, ProbeTimeout: 10 * time.Minute,
		WakeAttempts: 3, WakeInterval: 15 * time.Second, Keep: true, ReadyTimeout: time.Minute,
	}
}

func silence(p machine.Policy) time.Duration {
	return time.Duration(p.ProbeMisses) * p.ProbeInterval
}

// life drives one machine through time and keeps what it asked for.
type life struct {
	t   *testing.T
	m   *machine.Machine
	now time.Time
	log []machine.Action // since the last call of did or wantState
}

func newLife(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	p := policy()
	if change != nil {
		change(&p)
	}
	now := time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)
	return &life{t: t, m: machine.New(spec(), p, now), now: now}
}

func (l *life) event(e machine.Event) *life {
	l.log = append(l.log, l.m.Handle(l.now, e)...)
	return l
}

// pass lets time go by and delivers every tick when it is due.
func (l *life) pass(d time.Duration) *life {
	l.t.Helper()
	end := l.now.Add(d)
	for n := 0; ; n++ {
		due := l.m.Next()
		if due.IsZero() || due.After(end) {
			break
		}
		if n > 100_000 {
			l.t.Fatal("ticks do not advance the time")
		}
		if due.After(l.now) {
			l.now = due
		}
		l.event(machine.Ticked{})
	}
	l.now = end
	return l
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

func (l *life) wantActions(want ...machine.Action) *life {
	l.t.Helper()
	var got []machine.Action
	for _, a := range l.log {
		switch a.(type) {
		case machine.Probe, machine.Moved:
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

func (l *life) reason(from, to machine.State, why machine.Reason) *life {
	l.t.Helper()
	for _, a := range l.log {
		if m, ok := a.(machine.Moved); ok && m.From == from && m.To == to && m.Why == why {
			return l
		}
	}
	l.t.Fatalf("no move %v -> %v (%s); so far:\n%s", from, to, why, l.story())
	return l
}

func asleep(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return newLife(t, change).event(machine.Registered{Spec: spec()}).pass(3 * time.Second).want(machine.Asleep).forget()
}

func waking(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return asleep(t, change).event(machine.Knocked{Service: ssh, Source: client}).want(machine.Waking).forget()
}

func arriving(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return waking(t, change).pass(5 * time.Second).event(machine.Heard{Addr: ip4}).want(machine.Arriving).forget()
}

var (
	both        = []netip.Addr{ip4, ip6}
	knockOnSSH  = machine.WakeBegan{Trigger: machine.ByTCP, Service: ssh, Source: client}
	releaseBoth = machine.Release{Addrs: both}
	tellBoth    = machine.Announce{Addrs: both}
	partBoth    = machine.Part{Addrs: both}
	hushBoth    = machine.Hush{Addrs: both}
)
