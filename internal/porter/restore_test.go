package porter

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// memory is what the journal knows of a machine that registered, an hour ago.
func memory(spec machine.Spec, state machine.State) machine.Memory {
	ago := time.Now().Add(-time.Hour)
	return machine.Memory{State: state, Since: ago, Registered: ago, Heard: ago, Spec: spec}
}

// resumes has the porter take in machines that were here before, with the
// configuration naming others.
func (x *fixture) resumes(configured []machine.Spec, past ...machine.Memory) {
	x.Helper()
	if err := x.configure(configured); err != nil {
		x.Fatal(err)
	}
	x.porter.Resume(x.events, journal.Past{Until: time.Now(), Machines: past})
	x.publish()
}

// What was here before the restart is here again.
func TestResume(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		router, us := at(nas(), netip.MustParseAddr("10.77.0.1")), at(nas(), porter4)
		router.Name, router.MAC, us.Name, us.MAC = "router", strangerMAC, "us", clientMAC
		x.resumes([]machine.Spec{tv()}, memory(nas(), machine.Asleep), memory(tv(), machine.Asleep), memory(router, machine.Asleep), memory(us, machine.Asleep))
		x.wantNames("nas", "router", "tv", "us")
		x.pass(time.Second)
		x.want(x.machine(nas()), machine.Asleep, nas4, nas6)
		x.want(x.machine(tv()), machine.Asleep, tv4)
		if x.machine(tv()).configured == nil {
			t.Error("the configuration's machine is none any more")
		}
		x.want(x.machine(router), machine.Settling)
		x.wantWaits(x.machine(router), router.Monitor[0].IP, "it is a gateway's address")
		x.want(x.machine(us), machine.Settling)
		if a := x.machine(us).Status().Addresses[0]; a.Reason != "it is an address of the porter's own host" {
			t.Errorf("%v is %v: %s", a.IP, a.Standing, a.Reason)
		}
		if s := x.machine(nas()).Status(); s.Slept(time.Now()) < time.Hour {
			t.Errorf("slept %v", s.Slept(time.Now()))
		}
		x.hear(syn(nas4, 22))
		x.want(x.machine(nas()), machine.Waking, nas4, nas6)
	})
}

// A network that is not there at the start takes no machine from us: each address
// is claimed within 2 s of the moment when it can be.
func TestResumeBeforeTheNetwork(t *testing.T) {
	onLab(t, nil, func(x *fixture) {
		x.setAddrs()
		far := at(named(nas(), "far"), far4)
		far.MAC = strangerMAC
		x.resumes([]machine.Spec{tv()}, memory(nas(), machine.Asleep), memory(tv(), machine.Asleep), memory(far, machine.Asleep))
		x.pass(time.Minute)
		x.wantNames("far", "nas", "tv")
		x.want(x.machine(tv()), machine.Settling)
		x.want(x.machine(far), machine.Settling)
		e := x.machine(nas())
		x.want(e, machine.Asleep, nas6) // it was proved once, and our link-local address is there
		x.setAddrs("10.77.0.2/24")
		x.pass(2 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		x.want(x.machine(tv()), machine.Asleep, tv4)
		x.wantWaits(x.machine(far), far4, "it is not in a network of the porter's interface")
		x.pass(time.Minute)
		x.setAddrs("10.77.0.2/24", "192.0.2.2/24")
		x.pass(2 * time.Second)
		x.want(x.machine(far), machine.Asleep, far4)
		if s := e.Status(); s.Slept(time.Now()) < time.Hour || s.Tally.ExternalStarts != 0 {
			t.Errorf("slept %v, tally %+v", s.Slept(time.Now()), s.Tally)
		}
		for _, r := range x.events.records {
			if r.Forgotten != (ether.MAC{}) {
				t.Errorf("%v is forgotten", r.Forgotten)
			}
		}
	})
}

// A machine that was asleep is answered for soon after a start, and announced only
// when it would have been heard if it were starting too.
func TestFaultStartedBesideThePorter(t *testing.T) {
	resumed := func(x *fixture) *entry {
		x.resumes(nil, memory(nas(), machine.Asleep))
		x.pass(1500 * time.Millisecond)
		e := x.machine(nas())
		x.want(e, machine.Asleep, nas4, nas6)
		return e
	}
	t.Run("it sleeps on", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			resumed(x)
			if n4, n6 := x.announced(nas4), x.announced(nas6); n4 != nil || n6 != nil {
				t.Errorf("announced at once at %v, %v", n4, n6)
			}
			x.pass(3 * time.Second)
			if n4, n6 := x.announced(nas4), x.announced(nas6); len(n4) != 1 || len(n6) != 1 {
				t.Errorf("announced at %v, %v, want both addresses once", n4, n6)
			}
		})
	})
	t.Run("it has started", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			e := resumed(x)
			x.hear(arpUse(nasMAC, nas4))
			x.want(e, machine.Settling, nas6)
			x.pass(2 * time.Second)
			if n4, n6 := x.announced(nas4), x.announced(nas6); n4 != nil || n6 != nil {
				t.Errorf("announced at %v, %v", n4, n6)
			}
		})
	})
	t.Run("it has started and answers", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			x.up(nas())
			x.resumes(nil, memory(nas(), machine.Asleep))
			x.pass(5 * time.Second)
			e := x.machine(nas())
			x.want(e, machine.Awake)
			if owners := x.announced(nas4); slices.Contains(owners, x.n.MAC()) {
				t.Errorf("announced at %v", owners)
			}
		})
	})
}

// The silence of a machine that was awake, or in doubt, proves nothing for 30 s
// after a start: a switch may keep our port to itself. After that it does.
func TestNotDoubtedAfterAStart(t *testing.T) {
	inDoubt := memory(agentless(), machine.Settling)
	inDoubt.Registered = time.Time{}
	for name, mem := range map[string]machine.Memory{"awake": memory(nas(), machine.Awake), "in doubt": inDoubt} {
		t.Run(name, func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				x.resumes([]machine.Spec{agentless()}, mem)
				e := x.machine(nas())
				x.pass(switchPause)
				if e.State() == machine.Asleep {
					t.Error("claimed within 30 s")
				}
				x.pass(20 * time.Second)
				x.want(e, machine.Asleep, nas4, nas6)
			})
		})
	}
}

// The journal knows a machine that does not register, the configuration speaks for
// it.
func TestResumeOfAMachineThatDoesNotRegister(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		unregistered := func(spec machine.Spec) machine.Memory {
			mem := memory(spec, machine.Asleep)
			mem.Registered, mem.Spec.Agentless = time.Time{}, true
			return mem
		}
		mem, gone := unregistered(nas()), unregistered(tv())
		mem.Tally.ExternalStarts = 7
		mem.Spec.Monitor = mem.Spec.Monitor[1:] // as it was then
		far := at(named(agentless(), "far"), far4)
		far.MAC = strangerMAC
		farther := unregistered(far)
		x.resumes([]machine.Spec{agentless(), tv(), far}, mem, gone, farther)
		e := x.machine(nas())
		x.want(e, machine.Settling)
		x.pass(time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		if s := e.Status(); s.Slept(time.Now()) < time.Hour || s.Tally.ExternalStarts != 7 || e.configured == nil {
			t.Errorf("slept %v, configured: %t, tally %+v", s.Slept(time.Now()), e.configured != nil, s.Tally)
		}
		x.hear(syn(nas4, 22))
		x.want(e, machine.Waking, nas4, nas6)
		// One that is agentless no more waits for its registration.
		if e := x.machine(tv()); e.State() != machine.Awake || e.nic != nil {
			t.Errorf("tv is %v", e.State())
		}
		if !slices.ContainsFunc(x.events.records, func(r journal.Record) bool { return r.Forgotten == tvMAC && r.Event.Reason == noLongerAgentless }) {
			t.Error("the journal goes on to remember a machine that is agentless no more")
		}
		// One that cannot be seen at present is not forgotten.
		x.dispatch(x.machine(far), machine.WakeRequested{Trigger: machine.ByAPI, By: "test"})
		last := x.events.last()
		x.pass(time.Minute)
		if mem := last.Memory; mem == nil || mem.Spec.MAC != strangerMAC || mem.State != machine.Asleep || !mem.Since.Equal(farther.Since) {
			t.Errorf("far is remembered as %+v", mem)
		}
	})
}

// What a machine registered holds until it registers again; whether it has to is
// for the configuration to say, also later and after a restart.
func TestRegisteredMachineThatNeedNot(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.configured(agentless())
		said := named(at(nas(), nas4), "tower")
		e := x.asleep(said)
		up := x.up(nas())
		x.hear(arpUse(nasMAC, nas4))
		x.pass(11 * time.Minute) // probe.timeout and more
		x.want(e, machine.Awake)
		x.down(up)
		x.pass(time.Minute)
		x.want(e, machine.Asleep, nas4) // without a registration
		x.configured(agentless())
		x.want(e, machine.Asleep, nas4)
		x.wantNames("tower")
		mem := e.Memory()
		mem.Spec.Agentless = false // as it was when the journal was written
		for _, mem.State = range []machine.State{machine.Asleep, machine.Awake} {
			x.remove(x.machine(nas()))
			x.resumes([]machine.Spec{agentless()}, mem)
			e = x.machine(nas())
			if diff := cmp.Diff(said.Monitor, e.Spec().Monitor, byValue); diff != "" || !e.Spec().Agentless {
				t.Errorf("agentless: %t, monitor (-want +got):\n%s", e.Spec().Agentless, diff)
			}
			x.pass(2 * time.Minute)
			x.want(e, machine.Asleep, nas4)
		}
	})
}

// A name that the configuration has given away since is not taken from its machine.
func TestResumeWithANameThatIsTaken(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.resumes([]machine.Spec{named(tv(), "nas")}, memory(nas(), machine.Asleep))
		x.wantNames("nas", "nas-2")
		x.wantRenamed(nas(), "nas-2", `the name "nas" belongs to `+tvMAC.String()+" already")
		x.pass(time.Second)
		x.want(x.machine(nas()), machine.Asleep, nas4, nas6)
	})
}

// The interface itself may be out at the start.
func TestResumeWhileTheInterfaceIsOut(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.n.setUnavailable(time.Now(), "has no carrier")
		x.n.observe = func() (lan.Observation, error) { return lan.Observation{}, nil } // it is gone
		x.resumes(nil, memory(nas(), machine.Asleep), memory(tv(), machine.Awake))
		x.pass(time.Minute)
		e := x.machine(nas())
		x.want(e, machine.Settling)
		x.wantWaits(e, nas4, "the interface is unavailable")
		x.n.observe = x.n.observeKernel
		linkKeeper{x.loop}.inspect(x.n, lan.Change{})
		x.turn()
		x.pass(2 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		x.pass(20 * time.Second)
		x.want(x.machine(tv()), machine.Awake)
		x.pass(time.Minute)
		x.want(x.machine(tv()), machine.Asleep, tv4)
	})
}

// TestAttackByForgedMachines: who can write to the journal has the porter restore a
// machine with the porter's own MAC, and one with the address of another. The first is
// forgotten; of the others one has the address, and the other waits.
func TestAttackByForgedMachines(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		us, twin := named(tv(), "us"), named(tv(), "twin")
		us.MAC = x.n.MAC()
		twin.MAC, twin.Monitor = strangerMAC, nas().Monitor
		x.resumes(nil, memory(us, machine.Asleep), memory(twin, machine.Asleep), memory(nas(), machine.Asleep))
		x.wantNames("nas", "twin")
		if len(x.events.records) == 0 {
			t.Fatal("the journal got no record")
		}
		if r := x.events.records[0]; r.Forgotten != us.MAC || r.Event.Kind != journal.Forgotten || r.Event.Reason == "" {
			t.Errorf("the journal got %+v", r)
		}
		x.pass(time.Second)
		claimed := slices.Concat(x.machine(nas()).Claimed(), x.machine(twin).Claimed())
		slices.SortFunc(claimed, netip.Addr.Compare)
		if diff := cmp.Diff([]netip.Addr{nas4, nas6}, claimed, byValue); diff != "" {
			t.Errorf("claimed (-want +got):\n%s", diff)
		}
	})
}
