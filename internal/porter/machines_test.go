package porter

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/clocktest"
	"nightporter/internal/config"
	"nightporter/internal/fastpath"
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
		ReadyTimeout: 7, Porter: x.porterNumber(), OverrideOffload: true}
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
			err := x.configure([]machine.Spec{{Name: "attic", MAC: strangerMAC}, named(tv(), "nas")})
			if want := `machines[1].name: found "nas": ` + nasMAC.String() + " has registered with that name"; err == nil || err.Error() != want {
				t.Errorf("configured: %v", err)
			}
			x.wantNames("nas", "tele") // nothing has changed
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
			wantRefused(t, x.admit(request(nas()), nil, x.n, true, machine.MAC{}), `name: "nas" belongs to`)
			x.forget(renamed, "test")
			if x.wantNames("nas"); x.machines.named["nas"].Spec().MAC != tvMAC {
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
		if x.answers(nas6) || x.answers(nas4) {
			t.Error("still answered for")
		}
		if owners := x.announced(nas6); !slices.Equal(owners, []machine.MAC{nasMAC}) {
			t.Errorf("announced at %v", owners)
		}
		x.pass(2 * time.Second)
		e = x.machine(nas())
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
	}{
		{"removed", nil, nil},
		{"agentless no more", []machine.Spec{nas()}, []string{"nas"}},
		{"another has its name", []machine.Spec{named(tv(), "nas")}, []string{"nas"}},
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
					if owners := x.announced(nas4); asleep && !slices.Equal(owners, []machine.MAC{nasMAC}) {
						t.Errorf("announced at %v", owners)
					}
					if last := x.events.last(); last.Forgotten != nasMAC || last.Event.Kind != journal.Forgotten {
						t.Error("the journal goes on to remember it")
					}
					x.pass(time.Minute)
					x.unwatched()
				})
			})
		}
	}
}

func TestForget(t *testing.T) {
	t.Run("nothing of a machine stays", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			e := x.asleep(nas())
			x.announced(nas4)
			x.tell(e, machine.Stopped{})
			x.forget(e, "test")
			x.publish()
			x.wantNames()
			x.unwatched()
			if x.answers(nas4) || x.answers(nas6) {
				t.Error("answered for after it was forgotten")
			}
			if owners := x.announced(nas4); !slices.Equal(owners, []machine.MAC{nasMAC}) {
				t.Errorf("announced at %v", owners)
			}
			if next := x.timers.Next(); !next.IsZero() {
				t.Errorf("something is due in %v", time.Until(next))
			}
			if n := x.series("nightporter_machine_ready_duration_seconds", "nas"); n != 0 {
				t.Errorf("%d series of a machine that was forgotten", n)
			}
			// A frame that was on its way moves nothing.
			x.see(fastpath.Sighting{Kind: fastpath.SawFrame, Target: e.target})
			// The name and the addresses are free.
			taken := named(tv(), "nas")
			taken.Monitor = nas().Monitor
			x.asleep(taken)
		})
	})
	t.Run("the configuration brings it back", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			e := x.register(nas())
			x.configured(named(nas(), "tower"))
			x.forget(e, "test")
			x.wantNames("tower")
			if back := x.machine(nas()); back == e || back.nic != nil || back.State() != machine.Awake {
				t.Errorf("it came back as %v", back.Status())
			}
			if n := x.series("nightporter_machine_ready_duration_seconds", "tower"); n != 1 {
				t.Errorf("%d series of the machine that came back", n)
			}
			x.configured()
			x.wantNames()
		})
	})
	t.Run("... to be watched, where it does not register", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			x.configured(agentless())
			x.pass(time.Minute)
			old := x.machine(nas())
			x.want(old, machine.Asleep, nas4, nas6)
			x.announced(nas4)
			x.tell(old, machine.Stopped{})
			x.forget(old, "test")
			x.publish()
			e := x.machine(nas())
			x.want(e, machine.Awake)
			if owners := x.announced(nas4); e == old || !slices.Equal(owners, []machine.MAC{nasMAC}) {
				t.Errorf("announced at %v", owners)
			}
			x.pass(time.Minute)
			x.want(e, machine.Asleep, nas4, nas6)
		})
	})
}

// Without wake.keep a machine whose wake fails is dropped, or falls back to what
// the configuration says of it. Nothing is due for it then.
func TestFailedWake(t *testing.T) {
	for _, c := range []struct {
		name       string
		keep       bool
		configured []machine.Spec
		then       func(*fixture)
	}{
		{"kept", true, nil, func(x *fixture) {
			e := x.machine(nas())
			x.want(e, machine.Asleep, nas4, nas6)
			if s := e.Status(); s.Tally.Attempts != 2 || s.Tally.Failures[machine.ByTCP] != 1 {
				x.Errorf("%d attempts, %v failures", s.Tally.Attempts, s.Tally.Failures)
			}
		}},
		{"not kept", false, nil, func(x *fixture) {
			x.wantNames()
			x.unwatched()
			if next := x.timers.Next(); !next.IsZero() {
				x.Errorf("something is due in %v", time.Until(next))
			}
		}},
		{"not kept but configured", false, []machine.Spec{named(nas(), "tower")}, func(x *fixture) {
			x.wantNames("tower")
			x.unwatched()
		}},
		{"not kept, and does not register", false, []machine.Spec{agentless()}, func(x *fixture) {
			e := x.machine(nas())
			x.pass(3 * time.Second)
			if e.State() == machine.Asleep {
				x.Error("claimed again at once")
			}
			x.pass(time.Minute)
			x.want(e, machine.Asleep, nas4, nas6)
			x.hear(syn(nas4, 22))
			x.want(e, machine.Waking, nas4, nas6)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			withLoop(t, func(conf *config.Config) {
				conf.Wake.Attempts, conf.Wake.Interval, conf.Wake.Keep = 2, time.Second, c.keep
			}, func(x *fixture) {
				x.configured(c.configured...)
				if x.machine(nas()) == nil || !x.machine(nas()).looked() {
					x.asleep(nas())
				}
				x.pass(time.Minute)
				x.hear(syn(nas4, 22))
				x.pass(2100 * time.Millisecond)
				c.then(x)
			})
		})
	}
}

// What happened before a host without a clock of its own has asked for the time is
// shown, and remembered, at its true time.
func TestFaultClockSetAfterTheStart(t *testing.T) {
	x := newFixture(t, nil)
	now := time.Now()
	past := clocktest.Set(now.Add(-time.Hour), -50*365*24*time.Hour)
	mem := machine.Memory{Spec: nas(), State: machine.Asleep, Since: past, Registered: past, LastWake: machine.LastWake{At: past.Add(-time.Minute)}}
	e := x.insert(machine.Resume(mem, x.policy(), past, past))
	for e.State() != machine.Asleep {
		e.Handle(e.Next(), machine.Ticked{})
	}
	s := e.shown(now)
	if ago := now.Round(0).Sub(s.Since.Round(0)); ago != time.Hour {
		t.Errorf("asleep since %v, want an hour before %v", s.Since, now)
	}
	if ago := now.Round(0).Sub(s.LastWake.At.Round(0)); ago != time.Hour+time.Minute {
		t.Errorf("woken %v, want an hour and a minute before %v", s.LastWake.At, now)
	}
	if got := s.Slept(now); got != time.Hour {
		t.Errorf("slept %v, want an hour", got)
	}
	dir := t.TempDir()
	for range 2 { // once by memory, once by what the file says
		j, _, err := journal.Open(dir, discard)
		if err != nil {
			t.Fatal(err)
		}
		mem := e.Memory()
		j.Append(journal.Record{Memory: &mem})
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j, told, err := journal.Open(dir, discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if ago := time.Since(told.Machines[0].Since); (ago - time.Hour).Abs() > 10*time.Second {
			t.Errorf("the journal says asleep for %v, want an hour", ago)
		}
		e.Machine = machine.Resume(told.Machines[0], x.policy(), told.Until, time.Now())
	}
}
