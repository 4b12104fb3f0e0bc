package porter

import (
	"fmt"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// An agentless machine need not register. So it does not say where it is, and does
// not prove that its addresses are its own. Its place is the interface in whose
// networks they are; while there is none it is only known.

// placeAgentless finds a place for agentless machines that have none, and begins to
// watch them. That there is none is logged once: it is tried again with each change
// of the network.
func (p *Porter) placeAgentless() {
	var views []*netView
	var faults error
	looked := false
	for _, r := range p.sorted() {
		if r.nic != nil || !r.Spec().Agentless {
			continue
		}
		if !looked {
			views, faults = p.readNetViews()
			looked = true
		}
		s, err := p.netViewOf(r.Spec(), views)
		if err != nil {
			if faults != nil {
				err = fmt.Errorf("%w; %w", err, faults)
			}
			p.logUnplaceable(r, err)
			continue
		}
		p.watchOn(r, s.nic)
	}
}

// mayClaim says which of spec's addresses may not be claimed at s, if any. All of
// them have to be on that one interface.
func (p *Porter) mayClaim(spec machine.Spec, s *netView) error {
	if s.OwnMAC(spec.MAC) {
		return fmt.Errorf("mac: found %s, an interface of this host: expected the machine's", spec.MAC)
	}
	if err := registration.CheckAddresses(spec.Monitor, s); err != nil {
		return fmt.Errorf("interface %s: %w", s.Name(), err)
	}
	for _, a := range spec.Monitor {
		if other := p.holder(a.IP, spec.MAC); other != nil {
			return fmt.Errorf("monitor: found %s, which belongs to %q (%s) already", a.IP, other.name(), other.Spec().MAC)
		}
	}
	return nil
}

func (p *Porter) logUnplaceable(r *entry, err error) {
	if reason := err.Error(); r.unplaceable != reason {
		r.unplaceable = reason
		p.log.Warn("an agentless machine cannot be watched, and will not be claimed", "machine", r, "mac", r.Spec().MAC, "err", reason,
			"remedy", "correct its entry in machines, or give an interface of this host an address in the machine's network")
	}
}

// watchOn begins to watch a machine on an interface.
func (p *Porter) watchOn(r *entry, n *nic) {
	spec := r.Spec()
	p.log.Info("machine is watched", "machine", r, "mac", spec.MAC, "monitor", monitored(spec), "interface", n.Name(), "state", r.State().String())
	r.nic, r.unplaceable = n, ""
	r.watch = newWatch(r, spec)
	n.stale = true
	p.tell(r, machine.Entrusted{Agentless: true})
}

// displace takes agentless machines away from an interface where their addresses
// may not be claimed any more.
func (p *Porter) displace(n *nic) {
	s, err := n.readNetView()
	if err != nil {
		return // it is out again, and looked at when it is back
	}
	for _, r := range p.sorted() {
		if r.nic != n || !r.Spec().Agentless || p.mayClaim(r.Spec(), s) == nil {
			continue
		}
		configured := r.configured
		p.insertResumed(p.retire(r), time.Now()).configured = configured
	}
}

// retire removes a machine, with nothing left on its interface, and returns what is
// known of it.
func (p *Porter) retire(r *entry) machine.Memory {
	if r.nic != nil {
		p.tell(r, machine.Stopped{})
	}
	mem := r.Memory()
	p.remove(r)
	return mem
}

// insertResumed adds a machine of which mem was true until then at the latest. It has
// no place so far.
func (p *Porter) insertResumed(mem machine.Memory, until time.Time) *entry {
	return p.insert(machine.Resume(mem, p.policy(), until, time.Now()))
}

// resumeAgentless goes on with a machine that never registered: the configuration
// alone speaks for it.
func (p *Porter) resumeAgentless(mem machine.Memory, until time.Time) {
	r := p.byMAC[mem.Spec.MAC]
	if r == nil || r.configured == nil || !r.configured.Agentless {
		p.noLongerAgentless(mem.Spec)
		return
	}
	configured := r.configured
	p.remove(r)
	mem.Spec = *configured
	r = p.insertResumed(mem, until)
	r.configured = configured
	p.logResumed(r, mem)
}
