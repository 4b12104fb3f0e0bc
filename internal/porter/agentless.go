package porter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// An agentless machine need not register, so nobody says where it lives, and
// nobody proves that its addresses are its own. Its place is the interface in
// whose networks they are; while there is none it is only known.

// attend finds a place for agentless machines that have none, and begins to look
// after them. That there is none is said once: it is tried again with each change
// of the network.
func (p *Porter) attend() {
	var sites []*site
	var faults error
	looked := false
	for _, r := range p.sorted() {
		if r.nic != nil || !r.Spec().Agentless {
			continue
		}
		if !looked {
			sites, faults = p.survey()
			looked = true
		}
		s, err := p.siteOf(r.Spec(), sites)
		if err != nil {
			if faults != nil {
				err = fmt.Errorf("%w; %w", err, faults)
			}
			p.logHomeless(r, err)
			continue
		}
		p.moveIn(r, s.nic)
	}
}

// survey looks at every interface. The error tells of those that are out.
func (p *Porter) survey() (sites []*site, faults error) {
	for _, n := range p.nics {
		s, err := n.survey()
		if err != nil {
			faults = errors.Join(faults, err)
			continue
		}
		sites = append(sites, s)
	}
	return sites, faults
}

// siteOf returns the one of sites where spec's machine is to be looked for. An
// IPv6 link-local address may be on any network, so it does not tell which.
func (p *Porter) siteOf(spec machine.Spec, sites []*site) (*site, error) {
	for _, s := range sites {
		if len(p.nics) == 1 || slices.ContainsFunc(spec.Monitor, func(a machine.Address) bool {
			return !a.IP.IsLinkLocalUnicast() && s.OnLink(a.IP)
		}) {
			return s, p.mayClaim(spec, s)
		}
	}
	return nil, fmt.Errorf("none of its addresses (%s) is in a network of %s", monitored(spec), strings.Join(p.Interfaces(), " or "))
}

// mayClaim says which of spec's addresses may not be claimed at s, if any. All of
// them have to be on that one interface.
func (p *Porter) mayClaim(spec machine.Spec, s *site) error {
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

func (p *Porter) logHomeless(r *resident, err error) {
	if reason := err.Error(); r.homeless != reason {
		r.homeless = reason
		p.log.Warn("an agentless machine cannot be watched, and will not be claimed", "machine", r, "mac", r.Spec().MAC, "err", reason,
			"remedy", "correct its entry in machines, or give an interface of this host an address in the machine's network")
	}
}

// moveIn begins to look after a machine on an interface.
func (p *Porter) moveIn(r *resident, n *nic) {
	spec := r.Spec()
	p.log.Info("machine is watched", "machine", r, "mac", spec.MAC, "monitor", monitored(spec), "interface", n.Name(), "state", r.State().String())
	r.nic, r.homeless = n, ""
	r.watch = newWatch(r, spec)
	n.stale = true
	p.tell(r, machine.Entrusted{Agentless: true})
}

// displace takes agentless machines away from an interface where their addresses
// may not be claimed any more.
func (p *Porter) displace(n *nic) {
	s, err := n.survey()
	if err != nil {
		return // it is out again, and looked at when it is back
	}
	for _, r := range p.sorted() {
		if r.nic != n || !r.Spec().Agentless || p.mayClaim(r.Spec(), s) == nil {
			continue
		}
		configured := r.configured
		p.goOn(p.retire(r), time.Now()).configured = configured
	}
}

// retire takes a machine out of the house, with nothing left on its interface,
// and returns what is known of it.
func (p *Porter) retire(r *resident) machine.Memory {
	if r.nic != nil {
		p.tell(r, machine.Stopped{})
	}
	mem := r.Memory()
	p.remove(r)
	return mem
}

// goOn takes in a machine of which mem was true until then at the latest. It has no place so far.
func (p *Porter) goOn(mem machine.Memory, until time.Time) *resident {
	return p.settleIn(machine.Resume(mem, p.policy(), until, time.Now()))
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
	r = p.goOn(mem, until)
	r.configured = configured
	p.logResumed(r, mem)
}
