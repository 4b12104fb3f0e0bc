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

// policy returns the configuration's settings for probing and waking.
func (l *loop) policy() machine.Policy {
	c := l.conf
	return machine.Policy{
		ProbeInterval: c.Probe.Interval, ProbeMisses: c.Probe.Misses, ProbeTimeout: c.Probe.Timeout, WatchInterval: c.Watch.Interval,
		WakeAttempts: c.Wake.Attempts, WakeInterval: c.Wake.Interval, WakeTimeout: c.Wake.Timeout, Keep: c.Wake.Keep, Holdoff: c.Wake.Holdoff,
		ReadyTimeout: c.Hold.ReadyTimeout, OverrideOffload: c.Claim.OverrideOffload, Porter: l.interfaces.identity(),
	}
}

// insert adds a machine in any state.
func (l *loop) insert(m *machine.Machine) *entry {
	e := &entry{Machine: m, hold: handover.NewHold(l.conf.Hold.Packets, l.budget), filter: new(wakefilter.Filter), pinState: newPinState(), unicastLimit: newUnicastLimit()}
	e.setTarget()
	l.machines.add(e)
	l.metrics.AddMachine(e.name())
	l.timers.Set(e, e.Next())
	return e
}

// forget removes a machine whose claims are released. A configured machine is added again
// as one that has never registered.
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
			e.nic.announcer.Cancel(ip) // nothing reports the machine's own tests from now on
		}
	}
}

// insertConfigured adds a machine of the configuration.
func (l *loop) insertConfigured(m *machine.Machine, configured *machine.Spec) *entry {
	e := l.insert(m)
	e.configured = configured
	l.dispatch(e, e.configuration())
	return e
}

// configuration returns the event that passes the machine's configuration entry to it.
func (e *entry) configuration() machine.Configured {
	c := e.configured
	if c == nil {
		return machine.Configured{}
	}
	return machine.Configured{Agentless: c.Agentless, Unwatched: c.Unwatched, Permanent: true}
}

// configure applies the configured machines. A machine that has registered keeps its
// registration until it registers again, except its name: the configuration's names take
// precedence.
func (l *loop) configure(specs []machine.Spec) error {
	said := make(map[ether.MAC]machine.Spec, len(specs))
	given := make(map[string]ether.MAC, len(specs))
	for i, spec := range specs {
		said[spec.MAC], given[spec.Name] = spec, spec.MAC
		if e := l.machines.byMAC[spec.WakeMAC]; e != nil && e.HasRegistered() {
			return fmt.Errorf("machines[%d].wake_mac: found %s: %q has registered with that as its mac", i, spec.WakeMAC, e.name())
		}
		for k, a := range spec.Guests() {
			if e := l.machines.byMAC[a.MAC]; e != nil && e.HasRegistered() {
				return fmt.Errorf("machines[%d].guests[%d].mac: found %s: %q has registered with that as its mac", i, k, a.MAC, e.name())
			}
		}
	}
	follow := naming{l}.renamedEntries(said)
	naming{l}.freeNames(given)
	changed := make(map[ether.MAC]machine.Memory)
	var redefined []*entry
	for _, e := range l.machines.sorted() {
		spec, known := said[e.Spec().MAC]
		switch {
		case e.HasRegistered() || known && reflect.DeepEqual(spec, e.Spec()):
		case known && spec.Agentless && shareAddress(spec, e.Spec()):
			redefined = append(redefined, e)
		case known && spec.Agentless: // no address in common: it may be in another network
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
	naming{l}.followEntries(follow)
	for _, e := range l.machines.sorted() {
		l.dispatch(e, e.configuration())
	}
	return nil
}

// shareAddress reports whether two specs have an address in common.
func shareAddress(a, b machine.Spec) bool { return slices.ContainsFunc(a.Addrs(), b.Has) }

// redefine gives machines that have not registered their new configuration. Claimed
// addresses stay claimed.
func (l *loop) redefine(some []*entry, said map[ether.MAC]machine.Spec) {
	for _, e := range some { // two machines may exchange their names
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

// stopAndRemove releases all claims of a machine and removes it. It returns the machine's
// memory.
func (l *loop) stopAndRemove(e *entry) machine.Memory {
	l.dispatch(e, machine.Stopped{})
	mem := e.Memory()
	l.remove(e)
	return mem
}

// removeUnconfigured is stopAndRemove for a machine that is no longer in the configuration,
// or no longer agentless there.
func (l *loop) removeUnconfigured(e *entry, configured bool) {
	l.stopAndRemove(e)
	if e.Spec().Agentless {
		why := forgetReason(configured)
		l.log.Info("machine forgotten", "event", "forgotten", "machine", e, "mac", e.Spec().MAC, "reason", why)
		forgetInJournal(l.journal, e.Spec(), why)
	}
}

// reload applies a new configuration.
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
		n.viewStale = true // the rules for clients and knocks may have changed
	}
	l.place()
	return nil
}

// changeSpec dispatches an event that changes the machine's spec, and updates the registry
// and the readers' target.
func (l *loop) changeSpec(e *entry, spec machine.Spec, event machine.Event) {
	was := e.Spec()
	e.hold.Dismiss(func(s machine.Service) bool { return !spec.Serves(s) })
	// The old target stays until the event is carried out, because that may release
	// claims of the old target.
	l.dispatch(e, event)
	l.machines.unlist(e, was)
	l.machines.list(e, e.Spec())
	e.setTarget()
}
