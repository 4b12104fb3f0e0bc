package porter

import (
	"fmt"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// naming is the part of the loop that gives machines their names.
type naming struct{ *loop }

// A name is only a label. A machine whose name is taken is accepted with another name, and
// an event reports that.

// configuredNames returns the names in the configuration and the MACs of their machines.
func (r *registry) configuredNames() map[string]ether.MAC {
	names := make(map[string]ether.MAC)
	for mac, e := range r.byMAC {
		if e.configured != nil {
			names[e.configured.Name] = mac
		}
	}
	return names
}

// assignName sets spec.Name to a free name. It returns why that is not the name that spec
// had, or "". The name of the machine with the MAC gone is free.
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
			spec.Name = e.name() // it has a numbered form already, and keeps its metric series
			return why
		}
	}
	for n := 2; taken; n++ {
		spec.Name = machine.Numbered(wanted, n)
		_, taken = owner(spec.Name)
	}
	return why
}

// restoreName gives spec, which is from the journal, a valid and free name. It returns why
// that is another one, or "".
func (r *registry) restoreName(spec *machine.Spec) (why string) {
	had := spec.Name
	spec.Name = machine.CleanName(had, spec.MAC)
	why = r.assignName(spec, ether.MAC{}, r.configuredNames())
	if why == "" && spec.Name != had {
		why = fmt.Sprintf("the name %q is no longer valid", had)
	}
	return why
}

// changeName changes a machine's name in the registry and the metrics.
func (l naming) changeName(e *entry, was, name string) {
	delete(l.machines.named, was)
	l.machines.named[name] = e
	l.metrics.RemoveMachine(was)
	l.metrics.AddMachine(name)
}

// rename gives a machine another name than it has.
func (l naming) rename(e *entry, name, why string) {
	was := e.name()
	l.changeName(e, was, name)
	l.dispatch(e, machine.Renamed{Name: name})
	l.reportName(e, was, why)
}

// reportName logs and records that a machine got another name than it requested.
func (l naming) reportName(e *entry, wanted, why string) {
	l.log.Warn("machine renamed, its requested name is not available", "event", "renamed", "machine", e, "mac", e.Spec().MAC, "wanted", wanted, "reason", why)
	r := journal.Record{Event: journal.Event{Kind: journal.Renamed, At: time.Now(), Machine: e.name(), MAC: e.Spec().MAC, Reason: why}}
	e.remember(&r, true)
	l.journal.Append(r)
}

// freeNames renames registered machines whose name the configuration gives to another
// machine.
func (l naming) freeNames(given map[string]ether.MAC) {
	for _, e := range l.machines.sorted() {
		spec := e.Spec()
		if why := l.machines.assignName(&spec, ether.MAC{}, given); e.HasRegistered() && spec.Name != e.name() {
			l.rename(e, spec.Name, why)
		}
	}
}

// renamedEntries returns the registered machines that have the name of their entry in the
// configuration, if that entry has a new name.
func (l naming) renamedEntries(said map[ether.MAC]machine.Spec) (follow []*entry) {
	for _, e := range l.machines.sorted() {
		spec, known := said[e.Spec().MAC]
		if known && e.HasRegistered() && e.configured != nil && e.configured.Name == e.name() && spec.Name != e.name() {
			follow = append(follow, e)
		}
	}
	return follow
}

// followEntries gives machines the new names of their entries. The names are free by now.
func (l naming) followEntries(all []*entry) {
	for _, e := range all {
		was, name := e.name(), e.configured.Name
		l.changeName(e, was, name)
		l.dispatch(e, machine.Renamed{Name: name})
		l.reportEntryName(e, was)
	}
}

// reportEntryName logs and records that a machine got the new name of its entry.
func (l naming) reportEntryName(e *entry, was string) {
	l.log.Info("machine renamed as its entry in the configuration", "event", "renamed_entry", "machine", e, "mac", e.Spec().MAC, "before", was)
	r := journal.Record{Event: journal.Event{Kind: journal.Renamed, At: time.Now(), Machine: e.name(), MAC: e.Spec().MAC, By: was}}
	e.remember(&r, true)
	l.journal.Append(r)
}
