package porter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/machine"
)

// What other goroutines may call while the loop runs.

// errStopping is the answer to all requests while the porter ends.
var errStopping = errors.New("nightporter is stopping")

// inLoop runs f on the loop and waits for it.
func (p *Porter) inLoop(ctx context.Context, f func()) error {
	done := make(chan struct{})
	request := func() {
		f()
		p.publish()
		close(done)
	}
	select {
	case p.requests <- request:
	case <-p.stopped:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
	<-done
	return nil
}

// Alive returns nil once the loop has taken up what came before the call, or why it
// does not.
func (p *Porter) Alive(ctx context.Context) error { return p.inLoop(ctx, func() {}) }

// Started is closed once machines can register and be answered for.
func (p *Porter) Started() <-chan struct{} { return p.running }

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

// Wake wakes a machine because a person or a program asked for it.
func (p *Porter) Wake(ctx context.Context, name, by string) error {
	return p.withMachine(ctx, name, func(r *entry) {
		p.log.Info("wake asked for", "machine", r, "by", by, "state", r.State().String())
		p.tell(r, machine.WakeAsked{Trigger: machine.ByAPI, By: by})
	})
}

// Forget releases a machine and drops it.
func (p *Porter) Forget(ctx context.Context, name, by string) error {
	return p.withMachine(ctx, name, func(r *entry) {
		if r.nic != nil {
			p.tell(r, machine.Stopped{})
		}
		p.forget(r, "asked for by "+by)
	})
}

func (p *Porter) withMachine(ctx context.Context, name string, f func(*entry)) error {
	var unknown error
	err := p.inLoop(ctx, func() {
		var r *entry
		if r, unknown = p.find(name); r != nil {
			f(r)
		}
	})
	if err != nil {
		return err
	}
	return unknown
}

func (p *Porter) find(name string) (*entry, error) {
	if r := p.machines[name]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("%w: %q", machine.ErrUnknown, name)
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
		p.placeAgentless()
	})
	return config.NeedsRestart(p.started, conf), errors.Join(err, bad)
}

// Interfaces returns the names of the interfaces that the porter works on.
func (p *Porter) Interfaces() []string {
	var names []string
	for _, n := range p.nics {
		names = append(names, n.Name())
	}
	return names
}

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
