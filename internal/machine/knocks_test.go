package machine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/machine"
)

// Within a wake each port counts once, however often and at whichever address its
// clients knock.
func TestKnocksByPort(t *testing.T) {
	both := spec()
	both.Monitor[1].Ports = append(both.Monitor[1].Ports, ssh.Port)
	ssh6 := machine.Service{Addr: ip6, Port: ssh.Port}
	knock := func(s machine.Service) machine.Event { return machine.Knocked{Service: s, Source: client} }
	heard := answer(ip4)
	sleeps := func() *life {
		return newLife(t, nil).event(machine.Registered{Spec: both}).pass(4 * time.Second).want(machine.Asleep)
	}
	for _, c := range []struct {
		name      string
		life      *life
		ssh, game uint64
	}{
		{"none", sleeps(), 0, 0},
		{"one", sleeps().event(knock(ssh)), 1, 0},
		{"repeated", sleeps().event(knock(ssh)).event(knock(ssh)).event(knock(ssh6)), 1, 0},
		{"another port", sleeps().event(knock(ssh)).event(knock(game)).event(knock(game)), 1, 1},
		{"after a wake asked for", sleeps().event(wakeAsked).event(knock(game)), 0, 1},
		{"while it arrives", sleeps().event(knock(ssh)).pass(time.Second).event(heard).want(machine.Arriving).event(knock(ssh6)).event(knock(game)), 1, 1},
		{"while it settles", newLife(t, nil).event(machine.Registered{Spec: both}).event(knock(ssh)).event(knock(ssh6)).pass(4 * time.Second).want(machine.Waking).event(knock(ssh)), 1, 0},
		{"while it is up", newLife(t, nil).event(knock(ssh)), 0, 0},
		{"in two wakes", sleeps().event(knock(ssh)).pass(45 * time.Second).want(machine.Asleep).event(knock(ssh6)), 2, 0},
		{"after a restart", sleeps().event(knock(ssh)).away(time.Minute), 1, 0},
		{"and registered anew", sleeps().event(knock(ssh)).event(knock(game)).event(machine.Registered{Spec: machine.Spec{
			Name: "nas", MAC: nasMAC, Monitor: []machine.Address{{IP: ip4, Ports: []machine.Port{ssh.Port}}},
		}}), 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := c.life.m.Status().Knocks
			if k.Of(ssh.Port) != c.ssh || k.Of(game.Port) != c.game {
				t.Errorf("%v, want %d and %d", k, c.ssh, c.game)
			}
			if d := cmp.Diff(k, c.life.m.Memory().Knocks); d != "" {
				t.Errorf("remembered (-status +memory):\n%s", d)
			}
		})
	}
	l := sleeps().event(knock(ssh))
	before := l.m.Status().Knocks
	l.pass(45 * time.Second).event(knock(ssh))
	if before.Of(ssh.Port) != 1 {
		t.Error("a returned value has changed")
	}
}

func TestPortsOfASpec(t *testing.T) {
	s := machine.Spec{Monitor: []machine.Address{
		{IP: ip4, Ports: []machine.Port{{Protocol: machine.ICMP}, {Protocol: machine.UDP, Number: 9}, {Protocol: machine.TCP, Number: 443}}},
		{IP: ip6, Ports: []machine.Port{{Protocol: machine.TCP, Number: 22}, {Protocol: machine.TCP, Number: 443}}},
	}}
	want := []machine.Port{{Protocol: machine.TCP, Number: 22}, {Protocol: machine.TCP, Number: 443}, {Protocol: machine.UDP, Number: 9}, {Protocol: machine.ICMP}}
	if d := cmp.Diff(want, s.Ports()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
