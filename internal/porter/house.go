package porter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/fair"
	"nightporter/internal/handover"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// admit takes a machine that registered into the house, or finds it there, and
// lets it settle. It runs on the loop.
func (p *Porter) admit(spec machine.Spec, n *nic) {
	r := p.byMAC[spec.MAC]
	if r == nil {
		r = p.add(spec)
	}
	spec.Agentless = r.configured != nil && r.configured.Agentless
	if old := r.name(); old != spec.Name {
		delete(p.residents, old)
		p.residents[spec.Name] = r
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

// add makes spec's machine a resident, awake.
func (p *Porter) add(spec machine.Spec) *resident {
	return p.settleIn(machine.New(spec, p.policy(), time.Now()))
}

// settleIn makes a machine a resident, whatever it does at present.
func (p *Porter) settleIn(m *machine.Machine) *resident {
	spec := m.Spec()
	r := &resident{Machine: m, hold: handover.NewHold(p.conf.Hold.Packets, p.budget), judge: new(fair.Judge)}
	p.byMAC[spec.MAC] = r
	p.residents[spec.Name] = r
	p.metrics.AddMachine(spec.Name)
	return r
}

// forget drops a machine whose claims are released. One that the configuration
// knows comes back as if it had never registered.
func (p *Porter) forget(r *resident, why string) {
	p.log.Info("machine forgotten", "machine", r, "reason", why)
	p.remove(r)
	p.journal.Append(journal.Record{Forgotten: r.Spec().MAC, Event: journal.Event{
		Kind: journal.Forgotten, At: time.Now(), Machine: r.name(), MAC: r.Spec().MAC, Reason: why}})
	if r.configured != nil {
		p.add(*r.configured).configured = r.configured
		p.attend()
	}
}

func (p *Porter) remove(r *resident) {
	delete(p.residents, r.name())
	delete(p.byMAC, r.Spec().MAC)
	p.timers.Remove(r)
	p.inquiries.Remove(r)
	delete(p.awaited, r)
	r.hold.Close()
	p.metrics.RemoveMachine(r.name())
	if r.watched() {
		// Nobody will notice when it starts and tests its addresses.
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

// Reload takes over what may change while claims are held. It returns the keys
// whose change takes effect only after a restart. An error means that nothing
// has changed.
func (p *Porter) Reload(ctx context.Context, conf *config.Config) ([]string, error) {
	var bad error
	err := p.inLoop(ctx, func() {
		if bad = p.configure(conf.Machines); bad != nil {
			return
		}
		p.conf = conf
		p.setTrust(conf)
		for _, r := range p.sorted() {
			p.tell(r, machine.PolicyChanged{Policy: p.policy()})
			r.hold.SetLimit(conf.Hold.Packets)
		}
		for _, n := range p.nics {
			n.stale = true // who may wake, and what does, may have changed
		}
		p.attend()
	})
	return config.NeedsRestart(p.started, conf), errors.Join(err, bad)
}

func (p *Porter) find(name string) (*resident, error) {
	if r := p.residents[name]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("%w: %q", machine.ErrUnknown, name)
}

// sorted returns the residents by name.
func (p *Porter) sorted() []*resident {
	all := make([]*resident, 0, len(p.residents))
	for _, r := range p.residents {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *resident) int { return strings.Compare(a.name(), b.name()) })
	return all
}

// Machines returns every machine as it is now, by name; nothing once the
// porter has stopped.
func (p *Porter) Machines() []machine.Status {
	var all []machine.Status
	_ = p.inLoop(context.Background(), func() {
		now := time.Now()
		for _, r := range p.sorted() {
			all = append(all, r.shown(now))
		}
	})
	return all
}

// Wake wakes a machine for somebody who asked for it.
func (p *Porter) Wake(ctx context.Context, name, by string) error {
	return p.withMachine(ctx, name, func(r *resident) {
		p.log.Info("wake asked for", "machine", r, "by", by, "state", r.State().String())
		p.tell(r, machine.WakeAsked{Trigger: machine.ByAPI, By: by})
	})
}

// Forget releases a machine and drops it.
func (p *Porter) Forget(ctx context.Context, name, by string) error {
	return p.withMachine(ctx, name, func(r *resident) {
		if r.nic != nil {
			p.tell(r, machine.Stopped{})
		}
		p.forget(r, "asked for by "+by)
	})
}

func (p *Porter) withMachine(ctx context.Context, name string, f func(*resident)) error {
	var unknown error
	err := p.inLoop(ctx, func() {
		var r *resident
		if r, unknown = p.find(name); r != nil {
			f(r)
		}
	})
	if err != nil {
		return err
	}
	return unknown
}

// Ready returns nil when the porter does its work on every interface, or why it
// does not.
func (p *Porter) Ready() error {
	select {
	case <-p.stopped:
		return errStopping
	default:
	}
	select {
	case <-p.running:
	default:
		return errors.New("nightporter is starting")
	}
	var faults []string
	for _, n := range p.nics {
		if err := n.out(); err != nil {
			faults = append(faults, err.Error())
		}
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	return nil
}

// Started is closed once machines can register and be answered for.
func (p *Porter) Started() <-chan struct{} { return p.running }

// Drops returns how many packets the kernel dropped, by interface.
func (p *Porter) Drops() map[string]uint64 {
	drops := make(map[string]uint64, len(p.nics))
	for _, n := range p.nics {
		drops[n.Name()] = n.link.Load().Drops()
	}
	return drops
}

// Rejected returns how many frames could not be used, by interface and reason.
func (p *Porter) Rejected() map[string]map[string]uint64 {
	rejected := make(map[string]map[string]uint64, len(p.nics))
	for _, n := range p.nics {
		by := make(map[string]uint64)
		for v, count := range n.link.Load().Rejected() {
			by[v.String()] = count
		}
		by["overrun"] = n.reader.lost.Load() // the loop was too far behind
		rejected[n.Name()] = by
	}
	return rejected
}

// Interfaces returns the names of the interfaces that the porter works on.
func (p *Porter) Interfaces() []string {
	var names []string
	for _, n := range p.nics {
		names = append(names, n.Name())
	}
	return names
}
