package porter

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

func TestPolicyFollowsTheConfiguration(t *testing.T) {
	x := newFixture(t, func(c *config.Config) {
		c.Probe = config.Probe{Interval: 1, Misses: 2, Timeout: 3}
		c.Wake = config.Wake{Attempts: 4, Interval: 5, Keep: true, Holdoff: 6}
		c.Hold.ReadyTimeout, c.Watch.Interval, c.Claim.OverrideOffload = 7, 8, true
	})
	want := machine.Policy{ProbeInterval: 1, ProbeMisses: 2, ProbeTimeout: 3, WatchInterval: 8, WakeAttempts: 4, WakeInterval: 5, Keep: true, Holdoff: 6,
		ReadyTimeout: 7, Porter: x.interfaces.identity(), OverrideOffload: true}
	if diff := cmp.Diff(want, x.policy()); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}

func TestConfigure(t *testing.T) {
	t.Run("a machine that has not registered becomes what the configuration says", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			x.configured(nas())
			renamed := named(nas(), "tower")
			renamed.IdleWatts = 80
			x.configured(renamed)
			x.wantNames("tower")
			e := x.machines.named["tower"]
			if spec := e.Spec(); spec.IdleWatts != 80 || e.State() != machine.Awake || e.nic != nil {
				t.Errorf("%s is %v with %v W", spec.Name, e.State(), spec.IdleWatts)
			}
			if x.series("nightporter_machine_boot_duration_seconds", "nas") != 0 || x.series("nightporter_machine_boot_duration_seconds", "tower") != 1 {
				t.Error("the series did not follow the name")
			}
			x.unwatched() // it has to say that it is here
		})
	})
	t.Run("a machine that has registered keeps what it said", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			e := x.register(nas())
			conf := named(nas(), "tower")
			conf.IdleWatts = 80
			x.configured(conf)
			x.wantNames("nas")
			if x.machine(nas()) != e || e.Spec().IdleWatts != 50 || e.State() != machine.Settling {
				t.Errorf("it is %v with %v W", e.State(), e.Spec().IdleWatts)
			}
			if e.configured == nil || e.configured.Name != "tower" {
				t.Errorf("configured as %v", e.configured)
			}
			x.configured() // and stays when the configuration forgets it
			x.wantNames("nas")
			if e.configured != nil {
				t.Errorf("configured as %v by nothing", e.configured)
			}
		})
	})
}

// Two machines never share a name, whatever is configured and registered.
func TestNamesOfTheConfiguration(t *testing.T) {
	t.Run("a name that is registered already", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			x.configured(named(tv(), "tele"))
			x.register(nas())
			x.configured(machine.Spec{Name: "attic", MAC: strangerMAC}, named(tv(), "nas"))
			x.wantNames("attic", "nas", "nas-2")
			x.wantRenamed(nas(), "nas-2", `the name "nas" belongs to `+tvMAC.String()+" already")
			x.configured(named(tv(), "nas"))
			x.wantNames("nas", "nas-2")
		})
	})
	t.Run("two machines swap their names", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			x.configured(nas(), tv())
			x.configured(named(nas(), "tv"), named(tv(), "nas"))
			x.wantNames("nas", "tv")
			if x.machines.named["tv"].Spec().MAC != nasMAC || x.series("nightporter_machine_ready_duration_seconds", "tv") != 1 {
				t.Error("the names or the series were not swapped")
			}
		})
	})
	t.Run("two machines that do not register swap their names", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			other := tv()
			other.Agentless = true
			x.configured(agentless(), other)
			x.pass(time.Minute)
			x.configured(named(agentless(), "tv"), named(other, "nas"))
			x.pass(2 * time.Second)
			x.want(x.machines.named["tv"], machine.Asleep, nas4, nas6)
			x.want(x.machines.named["nas"], machine.Asleep, tv4)
		})
	})
	t.Run("a new card in a machine that has not registered", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			x.configured(nas())
			replaced := nas()
			replaced.MAC = tvMAC
			x.configured(replaced)
			x.wantNames("nas")
		})
	})
	t.Run("a name of the configuration that its machine does not use", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			renamed := x.register(tv())
			x.configured(named(tv(), "nas"))
			x.register(nas())
			x.wantRenamed(nas(), "nas-2", `the name "nas" belongs to `+tvMAC.String()+" already")
			x.forget(renamed, "test")
			if x.wantNames("nas", "nas-2"); x.machines.named["nas"].Spec().MAC != tvMAC {
				t.Error("another machine got the name that the configuration keeps")
			}
		})
	})
}

// A change of the configuration takes effect in every state, and one that leaves
// a machine as it is does nothing.
func TestReloadOfAMachineThatDoesNotRegister(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.configured(agentless())
		x.pass(time.Minute)
		e := x.machine(nas())
		x.want(e, machine.Asleep, nas4, nas6)
		began := e.Status().Since
		x.pass(time.Hour)
		x.configured(agentless(), tv())
		if x.machine(nas()) != e {
			t.Error("it is another one, although nothing was changed")
		}
		x.want(e, machine.Asleep, nas4, nas6)

		changed := named(agentless(), "tower")
		changed.Monitor = []machine.Address{{IP: nas4}, {IP: unused4, Ports: []machine.Port{ssh}}}
		x.announced(nas6)
		x.configured(changed, tv())
		x.wantNames("tower", "tv")
		if x.machine(nas()) != e || x.answers(nas6) || !x.answers(nas4) {
			t.Error("it is another one, or answered for where it has no address any more, or not where it has one")
		}
		if owners := x.announced(nas6); !slices.Equal(owners, []ether.MAC{nasMAC}) {
			t.Errorf("announced at %v", owners)
		}
		x.pass(2 * time.Second)
		x.want(e, machine.Asleep, nas4, unused4)
		if s := e.Status(); s.Slept(time.Now()) < time.Since(began) {
			t.Errorf("slept %v of %v", s.Slept(time.Now()), time.Since(began))
		}
		x.hear(syn(nas4, 22)) // no service any more
		x.want(e, machine.Asleep, nas4, unused4)
		x.hear(syn(unused4, 22))
		x.want(e, machine.Waking, nas4, unused4)
	})
}

func TestReloadEndsTheWatch(t *testing.T) {
	for _, c := range []struct {
		name string
		then []machine.Spec
		want []string
		why  string
	}{
		{"removed", nil, nil, entryRemoved},
		{"agentless no more", []machine.Spec{nas()}, []string{"nas"}, noLongerAgentless},
		{"another has its name", []machine.Spec{named(tv(), "nas")}, []string{"nas"}, entryRemoved},
	} {
		for _, asleep := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				withLoop(t, nil, func(x *fixture) {
					x.configured(agentless())
					if asleep {
						x.pass(time.Minute)
						x.want(x.machine(nas()), machine.Asleep, nas4, nas6)
					}
					x.announced(nas4)
					x.configured(c.then...)
					x.wantNames(c.want...)
					x.unwatched()
					if x.answers(nas4) || x.answers(nas6) {
						t.Error("still answered for")
					}
					if owners := x.announced(nas4); asleep && !slices.Equal(owners, []ether.MAC{nasMAC}) {
						t.Errorf("announced at %v", owners)
					}
					if last := x.events.last(); last.Forgotten != nasMAC || last.Event.Kind != journal.Forgotten || last.Event.Reason != c.why {
						t.Errorf("the journal goes on to remember it, or says %q, want %q", last.Event.Reason, c.why)
					}
					x.pass(time.Minute)
					x.unwatched()
				})
			})
		}
	}
}
