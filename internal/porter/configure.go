package porter

import (
	"fmt"
	"reflect"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// configure takes in what the configuration says of the machines. One that has
// registered keeps what it said itself until it registers again; it goes before
// the configuration, so that a name of its own is an error for the whole.
func (p *Porter) configure(specs []machine.Spec) error {
	said := make(map[machine.MAC]machine.Spec, len(specs))
	for i, spec := range specs {
		said[spec.MAC] = spec
		if r := p.machines[spec.Name]; r != nil && r.HasRegistered() && r.Spec().MAC != spec.MAC {
			return fmt.Errorf("machines[%d].name: found %q: %s has registered with that name", i, spec.Name, r.Spec().MAC)
		}
	}
	changed := make(map[machine.MAC]machine.Memory)
	for _, r := range p.sorted() {
		spec, known := said[r.Spec().MAC]
		switch {
		case r.HasRegistered() || known && reflect.DeepEqual(spec, r.Spec()):
		case known && spec.Agentless:
			changed[spec.MAC] = p.retire(r)
		default:
			p.dismiss(r)
		}
		r.configured = nil
	}
	for _, spec := range specs {
		r := p.byMAC[spec.MAC]
		if mem, ok := changed[spec.MAC]; ok {
			mem.Spec = spec
			r = p.insertResumed(mem, time.Now())
		} else if r == nil {
			r = p.add(spec)
		}
		r.configured = &spec
	}
	p.entrust()
	return nil
}

// dismiss is retire for a machine that the configuration does not name, or does
// not call agentless, any more.
func (p *Porter) dismiss(r *entry) {
	p.retire(r)
	if r.Spec().Agentless {
		p.log.Info("machine is watched no more", "machine", r, "mac", r.Spec().MAC)
		p.noLongerAgentless(r.Spec())
	}
}

func (p *Porter) noLongerAgentless(spec machine.Spec) {
	p.journal.Append(journal.Record{Forgotten: spec.MAC, Event: journal.Event{
		Kind: journal.Forgotten, At: time.Now(), Machine: spec.Name, MAC: spec.MAC, Reason: "no longer agentless"}})
}

// entrust tells machines that have registered, and so stay as they are, what the
// configuration says of them now.
func (p *Porter) entrust() {
	for _, r := range p.sorted() {
		agentless := r.configured != nil && r.configured.Agentless
		if r.HasRegistered() && r.Spec().Agentless != agentless {
			p.tell(r, machine.Entrusted{Agentless: agentless})
		}
	}
}
