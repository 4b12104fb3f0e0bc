package machine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/machine"
)

// The last wake, at each moment of it.
func TestLastWake(t *testing.T) {
	began := asleep(t, nil).now
	knock := machine.LastWake{At: began, Trigger: machine.ByTCP, Service: ssh, Source: client, Outcome: machine.UnderWay, Attempts: 1}
	with := func(change func(*machine.LastWake)) machine.LastWake {
		w := knock
		change(&w)
		return w
	}
	asked := machine.WakeRequested{Trigger: machine.ByAPI, By: "10.77.0.10:1"}
	heard := answer(ip4)
	for _, c := range []struct {
		name string
		life *life
		want machine.LastWake
	}{
		{"never", asleep(t, nil), machine.LastWake{}},
		{"asked of one that is up", newLife(t, nil).event(asked), machine.LastWake{}},
		{"knocked at", waking(t, nil), knock},
		{"again", waking(t, nil).pass(20 * time.Second).event(knockGame).event(asked),
			with(func(w *machine.LastWake) { w.Attempts = 2 })},
		{"asked for", asleep(t, nil).event(asked), machine.LastWake{At: began, Trigger: machine.ByAPI, By: "10.77.0.10:1", Outcome: machine.UnderWay, Attempts: 1}},
		{"firmware", waking(t, nil).pass(2 * time.Second).event(heard).pass(4 * time.Second).want(machine.Waking), knock},
		{"arriving", waking(t, nil).pass(2 * time.Second).event(heard).pass(time.Second).want(machine.Arriving),
			with(func(w *machine.LastWake) { w.Boot = 2 * time.Second })},
		{"ready", waking(t, nil).pass(2 * time.Second).event(heard).pass(time.Second).event(ready).want(machine.Awake),
			with(func(w *machine.LastWake) { w.Boot, w.Ready, w.Outcome = 2*time.Second, 3*time.Second, machine.Served })},
		{"not ready in time", waking(t, func(p *machine.Policy) { p.ReadyTimeout = time.Second }).pass(2 * time.Second).event(heard).up(time.Second).want(machine.Awake),
			with(func(w *machine.LastWake) { w.Boot, w.Ready, w.Outcome = 2*time.Second, 3*time.Second, machine.Unready })},
		{"failed", waking(t, nil).pass(45 * time.Second).want(machine.Asleep),
			with(func(w *machine.LastWake) { w.Attempts, w.Outcome = 3, machine.GivenUp })},
		{"put off, since it slept anew", waking(t, nil).event(registered).pass(time.Second).want(machine.Settling), knock},
		{"asleep again before it was ready", waking(t, nil).pass(2 * time.Second).event(heard).event(registered).want(machine.Settling),
			with(func(w *machine.LastWake) { w.Boot, w.Outcome = 2*time.Second, machine.Over })},
		{"while the porter was away", waking(t, nil).away(time.Minute), with(func(w *machine.LastWake) { w.Outcome = machine.Over })},
		{"long ago", waking(t, nil).pass(45 * time.Second).away(time.Minute), with(func(w *machine.LastWake) { w.Attempts, w.Outcome = 3, machine.GivenUp })},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, c.life.m.Status().LastWake, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if got := c.life.m.Memory().LastWake; got != c.life.m.Status().LastWake {
				t.Errorf("remembered %+v", got)
			}
		})
	}
}
