package porter

import (
	"slices"
	"strings"
	"time"

	"nightporter/internal/fair"
	"nightporter/internal/handover"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// admit adds a machine that registered, or finds it there, and lets it settle. It
// runs on the loop.
func (p *Porter) admit(spec machine.Spec, n *nic) {
	r := p.byMAC[spec.MAC]
	if r == nil {
		r = p.add(spec)
	}
	spec.Agentless = r.configured != nil && r.configured.Agentless
	if old := r.name(); old != spec.Name {
		delete(p.machines, old)
		p.machines[spec.Name] = r
		p.metrics.RemoveMachine(old)
		p.metrics.AddMachine(spec.Name)
	}
	if r.nic != nil && r.nic != n {
		// It moved to another network: nothing of it stays on the old one.
		p.tell(r, machine.Stopped{})
		r.nic.stale = true
	}
	r.nic = n
	if r.State() == machine.Arriving {
		r.hold.Drop() // it goes before they could be served
	}
	p.log.Info("machine registered", "machine", spec.Name, "mac", spec.MAC, "monitor", monitored(spec))
	r.hold.Dismiss(func(s machine.Service) bool { return !spec.Serves(s) })
	// The old watch stays until the event was carried out: what it claimed is
	// released by it.
	p.tell(r, machine.Registered{Spec: spec})
	r.watch = newWatch(r, spec)
	n.stale = true
}

// monitored lists what spec wants to be woken for.
func monitored(spec machine.Spec) string {
	var b strings.Builder
	for i, a := range spec.Monitor {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(a.IP.String())
		for _, port := range a.Ports {
			b.WriteByte(',')
			b.WriteString(port.String())
		}
	}
	return b.String()
}

// add adds spec's machine, awake.
func (p *Porter) add(spec machine.Spec) *entry {
	return p.insert(machine.New(spec, p.policy(), time.Now()))
}

// insert adds a machine in whatever state it is.
func (p *Porter) insert(m *machine.Machine) *entry {
	spec := m.Spec()
	r := &entry{Machine: m, hold: handover.NewHold(p.conf.Hold.Packets, p.budget), judge: new(fair.Judge)}
	p.byMAC[spec.MAC] = r
	p.machines[spec.Name] = r
	p.metrics.AddMachine(spec.Name)
	return r
}

// forget drops a machine whose claims are released. One that the configuration
// knows comes back as if it had never registered.
func (p *Porter) forget(r *entry, why string) {
	p.log.Info("machine forgotten", "machine", r, "reason", why)
	p.remove(r)
	p.journal.Append(journal.Record{Forgotten: r.Spec().MAC, Event: journal.Event{
		Kind: journal.Forgotten, At: time.Now(), Machine: r.name(), MAC: r.Spec().MAC, Reason: why}})
	if r.configured != nil {
		p.add(*r.configured).configured = r.configured
		p.placeAgentless()
	}
}

func (p *Porter) remove(r *entry) {
	delete(p.machines, r.name())
	delete(p.byMAC, r.Spec().MAC)
	p.timers.Remove(r)
	p.inquiries.Remove(r)
	delete(p.awaited, r)
	r.hold.Close()
	p.metrics.RemoveMachine(r.name())
	if r.watched() {
		// The readers will not notice when it starts and tests its addresses.
		for _, a := range r.watch.addrs {
			if !r.Conceded(a.ip) {
				r.nic.announcer.Cancel(a.ip)
			}
		}
	}
	r.watch = nil
	if r.nic != nil {
		r.nic.stale = true
	}
}

// policy is what the configuration says about probing and waking.
func (p *Porter) policy() machine.Policy {
	c := p.conf
	return machine.Policy{
		ProbeInterval: c.Probe.Interval, ProbeMisses: c.Probe.Misses, ProbeTimeout: c.Probe.Timeout,
		WakeAttempts: c.Wake.Attempts, WakeInterval: c.Wake.Interval, Keep: c.Wake.Keep, Holdoff: c.Wake.Holdoff,
		ReadyTimeout: c.Hold.ReadyTimeout, OverrideOffload: c.Claim.OverrideOffload, Porter: p.number(),
	}
}

// sorted returns the machines by name.
func (p *Porter) sorted() []*entry {
	all := make([]*entry, 0, len(p.machines))
	for _, r := range p.machines {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *entry) int { return strings.Compare(a.name(), b.name()) })
	return all
}
