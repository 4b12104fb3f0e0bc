package porter

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/machine"
)

func TestRegistry(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.register(nas())
		r := &x.machines
		if r.holder(nas4, tvMAC) != e || r.holder(nas4, nasMAC) != nil || r.holder(tv4, tvMAC) != nil {
			t.Error("the holder of an address is another")
		}
		other := x.register(at(tv(), tv4))
		if r.share(e) || r.share(other) {
			t.Error("they share no address")
		}
		if all := r.sorted(); len(all) != 2 || all[0] != e || all[1] != other {
			t.Error("the machines are not sorted by name")
		}
		x.register(at(nas(), nas6)) // anew
		if r.holder(nas4, tvMAC) != nil || r.holder(nas6, tvMAC) != e {
			t.Error("it is not known by what it registered last")
		}
		x.remove(e)
		if r.has(e) || !r.has(other) {
			t.Error("one was removed, and it was the other")
		}
		if r.holder(nas6, tvMAC) != nil || len(r.byIP) != 1 {
			t.Errorf("what was removed is still known by its address: %v", r.byIP)
		}
	})
}

// Two machines with one address never wait for each other: it is that of the one
// for which it is claimed, otherwise of the one that registered last.
func TestAddressOfTwoMachines(t *testing.T) {
	t.Run("claimed for the other", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			other := x.asleep(nas())
			mine := at(tv(), nas4, tv4)
			mine.Agentless = true
			x.configured(mine)
			x.pass(20 * time.Second)
			x.want(other, machine.Asleep, nas4, nas6)
			x.wantWaits(x.machine(mine), nas4, `belongs to "nas"`)
			x.wantOwner(nas4, other)

			x.dispatch(other, machine.Stopped{})
			x.forget(other, "test")
			x.pass(20 * time.Second)
			x.want(x.machine(mine), machine.Asleep, nas4, tv4)
		})
	})
	t.Run("both are awake", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			x.up(nas())
			req := request(nas())
			req.Here = true
			x.admitted(req, x.n)
			mine := at(named(tv(), "a tv"), nas4, tv4) // the first by name
			mine.Agentless = true
			x.configured(mine)
			x.wantWaits(x.machine(mine), nas4, `belongs to "nas"`)
			if !x.machine(nas()).HasAddress(nas4) {
				t.Error("the one that registered waits too")
			}
		})
	})
	t.Run("the one that registers has proved it", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			x.up(at(nas(), nas6))
			req := request(nas())
			req.Here = true
			x.admitted(req, x.n)
			first := x.machine(nas())
			x.pass(time.Minute)
			second := x.asleepAt(request(at(tv(), nas4)), machine.Place{Addr: nas4})
			x.wantWaits(first, nas4, `belongs to "tv"`)
			x.wantOwner(nas4, second)
			x.peers = nil
			x.pass(time.Minute)
			x.want(first, machine.Asleep, nas4, nas6)
			x.wantOwner(nas4, second)
		})
	})
}

// wantOwner fails the test unless the readers take packets for ip to be the
// machine's.
func (x *fixture) wantOwner(ip netip.Addr, e *entry) {
	x.Helper()
	for range 20 { // a view is made from a map
		x.n.viewStale = true
		x.publish()
		if a := x.n.reader.View().Address(ip); a == nil || a.Target() != e.target {
			x.Fatalf("packets for %v are not those of %s", ip, e.name())
		}
	}
}

// An address without proof does not keep its machine from registering it.
func TestUnprovedAddressBelongsToNoMachine(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		thief := at(named(tv(), "stranger"), tv4, nas4)
		first := x.asleepAt(request(thief), machine.Place{Addr: tv4}, machine.Place{Addr: nas4, Unproved: true})
		x.want(first, machine.Asleep, tv4)
		x.wantWaits(first, nas4, "the machine has not answered for it yet")
		second := x.asleep(nas())
		x.wantOwner(nas4, second)
		x.wantWaits(first, nas4, `belongs to "nas"`)
		x.hear(syn(nas4, 22))
		x.want(second, machine.Waking, nas4, nas6)
		if first.State() != machine.Asleep {
			t.Errorf("the other is %v", first.State())
		}
	})
}
