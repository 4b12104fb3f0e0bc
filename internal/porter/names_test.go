package porter

import (
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// wantRenamed fails the test unless a machine has this name, and the last event about a
// name says why.
func (x *fixture) wantRenamed(spec machine.Spec, name, why string) {
	x.Helper()
	e := x.machine(spec)
	if e == nil || e.name() != name || x.machines.named[name] != e || x.series("nightporter_machine_boot_duration_seconds", name) != 1 {
		x.Fatalf("%s is called %v, want %s", spec.MAC, e, name)
	}
	told := renamings(x)
	if len(told) == 0 {
		x.Fatalf("no event tells that %s is called %s", spec.MAC, name)
	}
	last := told[len(told)-1]
	hint := registration.ForgetHint(strings.TrimSuffix(name, "-2")) // where the name can be freed; TestTrialChangesNothing
	if ev := last.Event; ev.Machine != name || ev.MAC != spec.MAC || strings.TrimSuffix(ev.Reason, hint) != why {
		x.Errorf("told %+v, want that it is because %s", ev, why)
	}
	if last.Memory == nil || last.Memory.Spec.Name != name {
		x.Errorf("remembered is %+v", last.Memory)
	}
	if !strings.Contains(x.output.String(), "event=renamed machine="+name) {
		x.Errorf("the log does not say it:\n%s", &x.output)
	}
}

func renamings(x *fixture) []journal.Record {
	return slices.DeleteFunc(slices.Clone(x.events.records), func(r journal.Record) bool { return r.Event.Kind != journal.Renamed })
}

// TestAttackTakenName: a host registers with the name of another machine, or with its
// MAC address for a name, before that machine registers. That one is claimed all the
// same, under another name that it keeps.
func TestAttackTakenName(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.register(named(tv(), "nas"))
		x.asleep(nas())
		x.wantRenamed(nas(), "nas-2", `the name "nas" belongs to `+tvMAC.String()+" already")
		x.asleep(nas()) // the next evening
		if n := len(renamings(x)); n != 1 {
			t.Errorf("told %d times", n)
		}
		x.wantNames("nas", "nas-2")
		third := at(named(tv(), "nas"), unused4)
		third.MAC = strangerMAC
		x.register(third)
		x.forget(x.machine(tv()), "test")
		x.register(third) // the name is free, and it has asked for it
		x.asleep(nas())
		x.wantNames("nas", "nas-2")
		x.forget(x.machine(third), "test")
		x.asleep(nas())
		x.wantNames("nas")
	})
	withLoop(t, nil, func(x *fixture) {
		x.register(named(tv(), strings.ReplaceAll(nasMAC.String(), ":", "-")))
		x.wantRenamed(tv(), tvMAC.String(), `the name "`+strings.ReplaceAll(nasMAC.String(), ":", "-")+`" is the MAC address of another machine`)
		x.register(named(tv(), nasMAC.String()))
		if n := len(renamings(x)); n != 1 {
			t.Errorf("told %d times", n)
		}
		x.asleep(named(nas(), nasMAC.String())) // as a client that tells no name
		x.wantNames(nasMAC.String(), tvMAC.String())
	})
}

// A machine keeps the number that it has in its name, and so its series.
func TestNumberIsKept(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		third := at(named(tv(), "nas"), unused4)
		third.MAC = strangerMAC
		for _, spec := range []machine.Spec{named(tv(), "nas"), nas(), third} {
			x.register(spec)
		}
		x.wantNames("nas", "nas-2", "nas-3")
		x.forget(x.machine(nas()), "test")
		x.register(third)
		x.wantNames("nas", "nas-3")
	})
}

// A machine that loses its name to the configuration while it wakes goes on waking.
func TestRenamedWhileItWakes(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(syn(nas4, 22))
		x.want(e, machine.Waking, nas4, nas6)
		held := e.shown(time.Now()).Packets
		x.configured(named(tv(), "nas"))
		x.wantRenamed(nas(), "nas-2", `the name "nas" belongs to `+tvMAC.String()+" already")
		if told := renamings(x); strings.Contains(told[len(told)-1].Event.Reason, "nightporter forget") {
			t.Error("the remedy is to forget a machine that the configuration names")
		}
		x.want(e, machine.Waking, nas4, nas6)
		if now := e.shown(time.Now()).Packets; now != held {
			t.Errorf("held %+v, and now %+v", held, now)
		}
		x.up(nas())
		x.pass(time.Second)
		x.want(e, machine.Arriving)
	})
}

// However many machines want one name, each gets one soon.
func TestLabels(t *testing.T) {
	x := newFixture(t, nil)
	const count = 2000
	began := time.Now()
	for i := range count {
		spec := machine.Spec{Name: "nas", MAC: ether.MAC{2, 1, 0, 0, byte(i >> 8), byte(i)}}
		x.machines.assignName(&spec, ether.MAC{}, nil)
		x.insert(machine.New(spec, x.policy(), began))
	}
	if took := time.Since(began); len(x.machines.named) != count || took > 20*time.Second {
		t.Errorf("%d names after %v", len(x.machines.named), took)
	}
	spec := machine.Spec{Name: "nas", MAC: tvMAC}
	if why := x.machines.assignName(&spec, ether.MAC{2, 1}, nil); spec.Name != "nas" || why != "" {
		t.Errorf("the name of a machine that is gone is not free: %q, %s", spec.Name, why)
	}
	if x.machines.assignName(&spec, ether.MAC{2, 1}, map[string]ether.MAC{"nas": nasMAC}); spec.Name != "nas-2001" {
		t.Errorf("a name of the configuration becomes %q", spec.Name)
	}
}

// Names that were allowed before a restart, and are not any more, become others.
func TestResumeWithNamesOfBefore(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		stranger := at(named(nas(), nasMAC.String()), unused4)
		stranger.MAC = strangerMAC
		x.resumes(nil, memory(named(tv(), "nas\u3164"), machine.Asleep), memory(nas(), machine.Asleep), memory(stranger, machine.Asleep))
		x.wantNames(strangerMAC.String(), "nas", "nas-2")
		x.wantRenamed(tv(), "nas-2", `the name "nas" belongs to `+nasMAC.String()+" already")
		if told := renamings(x); len(told) != 2 || told[0].Event.MAC != strangerMAC || told[0].Event.Reason != `the name "`+nasMAC.String()+`" is the MAC address of another machine` {
			t.Errorf("told %+v", told)
		}
		x.pass(time.Second)
		x.want(x.machine(tv()), machine.Asleep, tv4)
		x.events.records = nil
		x.resumes(nil, memory(named(tv(), "nаs"), machine.Asleep))
		x.wantRenamed(tv(), tvMAC.String(), `the name "nаs" is no longer valid`)
	})
}

// A machine that registers with another name than before is renamed, which an event tells.
func TestRenamesItself(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.admitted(request(nas()), x.n)
		x.admitted(request(nas()), x.n)
		if told := renamings(x); len(told) != 0 {
			t.Fatalf("told %+v", told)
		}
		x.admitted(request(named(nas(), "vm")), x.n)
		told := renamings(x)
		if len(told) != 1 || told[0].Event.Machine != "vm" || told[0].Event.By != "nas" || told[0].Event.Reason != "" {
			t.Errorf("told %+v", told)
		}
		x.wantNames("vm")
	})
}

// TestRenamedEntry: a machine that registered under the name of its entry gets the new one,
// at once; one with a name of its own keeps it.
func TestRenamedEntry(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.configured(nas(), named(tv(), "screen"))
		e := x.asleep(nas())
		x.register(tv())
		x.configured(named(nas(), "tower"), named(tv(), "display"))
		x.wantNames("tower", tv().Name)
		x.want(e, machine.Asleep, nas4, nas6)
		told := renamings(x)
		if last := told[len(told)-1]; last.Event.Machine != "tower" || last.Event.By != "nas" || last.Memory == nil || last.Memory.Spec.Name != "tower" {
			t.Errorf("told %+v", last)
		}
		if x.series("nightporter_machine_boot_duration_seconds", "nas") != 0 || x.series("nightporter_machine_boot_duration_seconds", "tower") != 1 {
			t.Error("the series did not follow the name")
		}
	})
	withLoop(t, nil, func(x *fixture) { // two swap their names
		x.configured(nas(), tv())
		one, other := x.register(nas()), x.register(tv())
		x.configured(named(nas(), tv().Name), named(tv(), nas().Name))
		x.wantNames(nas().Name, tv().Name)
		if one.name() != tv().Name || other.name() != nas().Name {
			t.Errorf("they are %s and %s", one.name(), other.name())
		}
	})
}

// TestRenamedEntryAtARestart: the journal says whose name was that of its entry.
func TestRenamedEntryAtARestart(t *testing.T) {
	for _, ofEntry := range []bool{true, false} {
		withLoop(t, nil, func(x *fixture) {
			mem := memory(nas(), machine.Asleep)
			mem.NameConfigured = ofEntry
			x.resumes([]machine.Spec{named(nas(), "tower")}, mem)
			if !ofEntry {
				x.wantNames("nas")
				return
			}
			x.wantNames("tower")
			if told := renamings(x); len(told) != 1 || told[0].Event.By != "nas" || told[0].Memory == nil || !told[0].Memory.NameConfigured {
				t.Errorf("told %+v", told)
			}
			x.pass(time.Second)
			x.want(x.machine(nas()), machine.Asleep, nas4, nas6)
		})
	}
	withLoop(t, nil, func(x *fixture) {
		x.configured(nas(), named(tv(), "screen"))
		x.asleep(nas())
		if !x.events.last().Memory.NameConfigured {
			t.Error("the journal does not know that the name is that of the entry")
		}
		x.asleep(tv())
		if x.events.last().Memory.NameConfigured {
			t.Error("the journal takes the machine's own name for that of the entry")
		}
	})
}
