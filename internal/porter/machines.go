package porter

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/handover"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/wakefilter"
)

// policy is what the configuration says about probing and waking.
func (l *loop) policy() machine.Policy {
	c := l.conf
	return machine.Policy{
		ProbeInterval: c.Probe.Interval, ProbeMisses: c.Probe.Misses, ProbeTimeout: c.Probe.Timeout, WatchInterval: c.Watch.Interval,
		WakeAttempts: c.Wake.Attempts, WakeInterval: c.Wake.Interval, WakeTimeout: c.Wake.Timeout, Keep: c.Wake.Keep, Holdoff: c.Wake.Holdoff,
		ReadyTimeout: c.Hold.ReadyTimeout, OverrideOffload: c.Claim.OverrideOffload, Porter: l.interfaces.identity(),
	}
}

// insert takes in a machine, whatever it does at present.
func (l *loop) insert(m *machine.Machine) *entry {
	e := &entry{Machine: m, hold: handover.NewHold(l.conf.Hold.Packets, l.budget), judge: new(wakefilter.Filter), pinState: newPinState(), unicastLimit: newUnicastLimit()}
	e.setTarget()
	l.machines.add(e)
	l.metrics.AddMachine(e.name())
	l.timers.Set(e, e.Next())
	return e
}

// forget drops a machine whose claims are released. One that the configuration
// knows comes back as if it had never registered.
func (l *loop) forget(e *entry, why string) {
	l.log.Info("machine forgotten", "event", "forgotten", "machine", e, "reason", why)
	l.remove(e)
	l.journal.Append(journal.Record{Forgotten: e.Spec().MAC, Event: journal.Event{
		Kind: journal.Forgotten, At: time.Now(), Machine: e.name(), MAC: e.Spec().MAC, Reason: why}})
	if e.configured != nil {
		l.insertConfigured(machine.New(*e.configured, l.policy(), time.Now()), e.configured)
	}
	if e.configured != nil || l.machines.share(e) {
		l.place()
	}
}

func (l *loop) remove(e *entry) {
	l.machines.remove(e)
	l.timers.Remove(e)
	l.checks.Remove(e)
	delete(l.awaited, e)
	e.hold.Close()
	l.metrics.RemoveMachine(e.name())
	if e.nic == nil {
		return
	}
	e.nic.viewStale = true
	for _, ip := range e.target.Addrs() {
		if !e.Conceded(ip) { // else it may be announced for another machine
			e.nic.announcer.Cancel(ip) // a start and its tests would not be noticed
		}
	}
}

// know takes in a machine that the configuration names.
func (l *loop) insertConfigured(m *machine.Machine, configured *machine.Spec) *entry {
	e := l.insert(m)
	e.configured = configured
	l.dispatch(e, e.configuration())
	return e
}

// configuration is what the configuration says of a machine's care.
func (e *entry) configuration() machine.Configured {
	c := e.configured
	if c == nil {
		return machine.Configured{}
	}
	return machine.Configured{Agentless: c.Agentless, Unwatched: c.Unwatched, Permanent: true}
}

// configure takes in what the configuration says of the machines. One that has
// registered keeps what it said itself until it registers again; but for its name it
// goes before the configuration.
func (l *loop) configure(specs []machine.Spec) error {
	said := make(map[ether.MAC]machine.Spec, len(specs))
	given := make(map[string]ether.MAC, len(specs))
	for i, spec := range specs {
		said[spec.MAC], given[spec.Name] = spec, spec.MAC
		if e := l.machines.byMAC[spec.WakeMAC]; e != nil && e.HasRegistered() {
			return fmt.Errorf("machines[%d].wake_mac: found %s: %q has registered with that as its mac", i, spec.WakeMAC, e.name())
		}
		for k, a := range spec.Hosted() {
			if e := l.machines.byMAC[a.MAC]; e != nil && e.HasRegistered() {
				return fmt.Errorf("machines[%d].guests[%d].mac: found %s: %q has registered with that as its mac", i, k, a.MAC, e.name())
			}
		}
	}
	follow := l.renamedEntries(said)
	l.freeNames(given)
	changed := make(map[ether.MAC]machine.Memory)
	var redefined []*entry
	for _, e := range l.machines.sorted() {
		spec, known := said[e.Spec().MAC]
		switch {
		case e.HasRegistered() || known && reflect.DeepEqual(spec, e.Spec()):
		case known && spec.Agentless && shareAddress(spec, e.Spec()):
			redefined = append(redefined, e)
		case known && spec.Agentless: // perhaps in another network
			changed[spec.MAC] = l.stopAndRemove(e)
		default:
			l.removeUnconfigured(e, known)
		}
		e.configured = nil
	}
	l.redefine(redefined, said)
	for _, spec := range specs {
		e := l.machines.byMAC[spec.MAC]
		if mem, ok := changed[spec.MAC]; ok {
			mem.Spec = spec
			l.insertConfigured(machine.Restore(mem, l.policy(), time.Now(), time.Now()), &spec)
		} else if e == nil {
			l.insertConfigured(machine.New(spec, l.policy(), time.Now()), &spec)
		} else {
			e.configured = &spec
		}
	}
	l.followEntries(follow)
	for _, e := range l.machines.sorted() {
		l.dispatch(e, e.configuration())
	}
	return nil
}

// meet reports whether two descriptions have an address in common.
func shareAddress(a, b machine.Spec) bool { return slices.ContainsFunc(a.Addrs(), b.Has) }

// redefine gives machines that have not registered what the configuration says of them
// now. What they have claimed stays claimed.
func (l *loop) redefine(some []*entry, said map[ether.MAC]machine.Spec) {
	for _, e := range some { // two may exchange their names
		if e.name() != said[e.Spec().MAC].Name {
			delete(l.machines.named, e.name())
			l.metrics.RemoveMachine(e.name())
		}
	}
	for _, e := range some {
		spec, old := said[e.Spec().MAC], e.target
		if l.machines.named[spec.Name] != e {
			l.machines.named[spec.Name] = e
			l.metrics.AddMachine(spec.Name)
		}
		l.changeSpec(e, spec, machine.SpecChanged{Spec: spec})
		e.target.Succeed(old)
		l.log.Info("machine changed in the configuration", "event", "reconfigured", "machine", e, "mac", spec.MAC, "monitor", monitored(spec))
	}
}

// retire takes a machine out, with nothing left on its interface, and returns what
// is known of it.
func (l *loop) stopAndRemove(e *entry) machine.Memory {
	l.dispatch(e, machine.Stopped{})
	mem := e.Memory()
	l.remove(e)
	return mem
}

// dismiss is retire for a machine that the configuration does not name, or does
// not call agentless, any more.
func (l *loop) removeUnconfigured(e *entry, configured bool) {
	l.stopAndRemove(e)
	if e.Spec().Agentless {
		why := forgetReason(configured)
		l.log.Info("machine forgotten", "event", "forgotten", "machine", e, "mac", e.Spec().MAC, "reason", why)
		forgetInJournal(l.journal, e.Spec(), why)
	}
}

// reload takes over a new configuration.
func (l *loop) reload(conf *config.Config) error {
	if err := l.configure(conf.Machines); err != nil {
		return err
	}
	l.conf = conf
	for _, e := range l.machines.sorted() {
		l.dispatch(e, machine.PolicyChanged{Policy: l.policy()})
		e.hold.SetLimit(conf.Hold.Packets)
	}
	for _, n := range l.nics {
		n.viewStale = true // which clients may wake, and what does, may have changed
	}
	l.place()
	return nil
}

// describe has a machine, and the readers with it, take in another description, which an
// event brings.
func (l *loop) changeSpec(e *entry, spec machine.Spec, event machine.Event) {
	was := e.Spec()
	e.hold.Dismiss(func(s machine.Service) bool { return !spec.Serves(s) })
	// The old target stays until the event was carried out: what it claimed is
	// released by it.
	l.dispatch(e, event)
	l.machines.unlist(e, was)
	l.machines.list(e, e.Spec())
	e.setTarget()
}
