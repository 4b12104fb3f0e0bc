package porter

import (
	"fmt"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// A name is a label: that another machine has it is no reason to leave a machine
// unclaimed. It gets another name, and an event says so.

// reserved returns the names that the configuration gives, and to which machine.
func (r *registry) configuredNames() map[string]ether.MAC {
	names := make(map[string]ether.MAC)
	for mac, e := range r.byMAC {
		if e.configured != nil {
			names[e.configured.Name] = mac
		}
	}
	return names
}

// label gives spec the name that its machine gets, and returns why that is not the one
// it has in spec, or nothing. The name of a machine that is gone is free.
func (r *registry) assignName(spec *machine.Spec, gone ether.MAC, reserved map[string]ether.MAC) (why string) {
	owner := func(name string) (ether.MAC, bool) {
		if mac, ok := reserved[name]; ok && mac != spec.MAC {
			return mac, true
		}
		e := r.named[name]
		if e == nil || e.Spec().MAC == spec.MAC || e.Spec().MAC == gone {
			return ether.MAC{}, false
		}
		return e.Spec().MAC, true
	}
	wanted := spec.Name
	if mac, ok := machine.MACInName(wanted); ok && mac != spec.MAC {
		why = fmt.Sprintf("the name %q is the MAC address of another machine", wanted)
		wanted = spec.MAC.String()
	}
	mac, taken := owner(wanted)
	if !taken {
		spec.Name = wanted
		return why
	}
	why = fmt.Sprintf("the name %q belongs to %s already", wanted, mac)
	if _, configured := reserved[wanted]; !configured {
		why += registration.ForgetHint(wanted)
	}
	if e := r.byMAC[spec.MAC]; e != nil && machine.NumberOf(e.name(), wanted) > 0 {
		if _, taken := owner(e.name()); !taken {
			spec.Name = e.name() // it has one of these already: it keeps its series
			return why
		}
	}
	for n := 2; taken; n++ {
		spec.Name = machine.Numbered(wanted, n)
		_, taken = owner(spec.Name)
	}
	return why
}

// salvage gives spec, which is from before a restart, a name that is allowed and free,
// and returns why that is another one, or nothing.
func (r *registry) restoreName(spec *machine.Spec) (why string) {
	had := spec.Name
	spec.Name = machine.CleanName(had, spec.MAC)
	why = r.assignName(spec, ether.MAC{}, r.configuredNames())
	if why == "" && spec.Name != had {
		why = fmt.Sprintf("the name %q is not allowed any more", had)
	}
	return why
}

// relist has a machine known by another name.
func (l *loop) changeName(e *entry, was, name string) {
	delete(l.machines.named, was)
	l.machines.named[name] = e
	l.metrics.RemoveMachine(was)
	l.metrics.AddMachine(name)
}

// rename gives a machine another name than it has.
func (l *loop) rename(e *entry, name, why string) {
	was := e.name()
	l.changeName(e, was, name)
	l.dispatch(e, machine.Renamed{Name: name})
	l.reportName(e, was, why)
}

// tellName tells that a machine has another name than it wanted.
func (l *loop) reportName(e *entry, wanted, why string) {
	l.log.Warn("machine has another name than it wanted", "event", "renamed", "machine", e, "mac", e.Spec().MAC, "wanted", wanted, "reason", why)
	r := journal.Record{Event: journal.Event{Kind: journal.Renamed, At: time.Now(), Machine: e.name(), MAC: e.Spec().MAC, Reason: why}}
	e.remember(&r, true)
	l.journal.Append(r)
}

// makeWay renames the machines that registered with a name that the configuration gives
// to another one.
func (l *loop) freeNames(given map[string]ether.MAC) {
	for _, e := range l.machines.sorted() {
		spec := e.Spec()
		if why := l.machines.assignName(&spec, ether.MAC{}, given); e.HasRegistered() && spec.Name != e.name() {
			l.rename(e, spec.Name, why)
		}
	}
}

// renamedEntries returns the machines that registered, have the name of their entry, and
// whose entry has another name now.
func (l *loop) renamedEntries(said map[ether.MAC]machine.Spec) (follow []*entry) {
	for _, e := range l.machines.sorted() {
		spec, known := said[e.Spec().MAC]
		if known && e.HasRegistered() && e.configured != nil && e.configured.Name == e.name() && spec.Name != e.name() {
			follow = append(follow, e)
		}
	}
	return follow
}

// followEntries gives machines the names of their entries, which are free by now.
func (l *loop) followEntries(all []*entry) {
	for _, e := range all {
		was, name := e.name(), e.configured.Name
		l.changeName(e, was, name)
		l.dispatch(e, machine.Renamed{Name: name})
		l.reportEntryName(e, was)
	}
}

// tellFollowed tells that a machine got the new name of its entry.
func (l *loop) reportEntryName(e *entry, was string) {
	l.log.Info("machine renamed as its entry in the configuration", "event", "renamed_entry", "machine", e, "mac", e.Spec().MAC, "before", was)
	r := journal.Record{Event: journal.Event{Kind: journal.Renamed, At: time.Now(), Machine: e.name(), MAC: e.Spec().MAC, By: was}}
	e.remember(&r, true)
	l.journal.Append(r)
}
