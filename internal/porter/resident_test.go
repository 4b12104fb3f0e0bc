package porter

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/machine"
)

func newResident(spec machine.Spec) *resident {
	return &resident{Machine: machine.New(spec, machine.Policy{ProbeInterval: time.Second, ProbeMisses: 3, ProbeTimeout: time.Minute}, time.Now())}
}

// The hand-over waits until the machine has answered for every address that
// somebody waits for, once each.
func TestExpect(t *testing.T) {
	at := func(ip netip.Addr, p machine.Port) machine.Service { return machine.Service{Addr: ip, Port: p} }
	type step struct {
		ip    netip.Addr
		ready bool
	}
	for _, c := range []struct {
		name     string
		services []machine.Service
		steps    []step
	}{
		{"one service", []machine.Service{at(nas4, ssh)}, []step{{nas6, false}, {nas4, true}, {nas4, false}}},
		{"two services of one address", []machine.Service{at(nas4, ssh), at(nas4, game)}, []step{{nas4, true}}},
		{"two addresses", []machine.Service{at(nas4, ssh), at(nas6, ping)}, []step{{nas4, false}, {nas4, false}, {nas6, true}}},
		{"nobody waits", nil, []step{{nas6, true}, {nas4, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newResident(nas())
			r.expect(c.services)
			for i, s := range c.steps {
				if got := r.answered(s.ip); got != s.ready {
					t.Errorf("step %d: %v answered, ready %t, want %t", i, s.ip, got, s.ready)
				}
			}
		})
	}
	t.Run("a later one replaces it", func(t *testing.T) {
		r := newResident(nas())
		r.expect([]machine.Service{at(nas4, ssh)})
		r.expect([]machine.Service{at(nas6, ssh)})
		if !r.answered(nas6) || r.answered(nas4) {
			t.Error("the earlier expectation still counts")
		}
	})
	t.Run("before any", func(t *testing.T) {
		if newResident(nas()).answered(nas4) {
			t.Error("ready without a hand-over")
		}
	})
}

// The readers look out for a machine that has registered and does not speak
// for itself.
func TestWatched(t *testing.T) {
	r := newResident(nas())
	if r.watched() {
		t.Error("a machine that never registered is watched")
	}
	r.nic = &nic{}
	if r.watched() {
		t.Error("an awake machine is watched")
	}
	r.Handle(time.Now(), machine.Registered{Spec: nas()})
	if !r.watched() {
		t.Errorf("a machine that is %v is not watched", r.State())
	}
}
