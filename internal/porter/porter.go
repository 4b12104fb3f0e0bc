package porter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
	"nightporter/internal/registration"
)

// errStopping answers requests that come while the porter ends.
var errStopping = errors.New("nightporter is stopping")

// Porter is the daemon's core, as other goroutines see it: it sends requests to
// the loop. Make it with New, then Resume and Run it.
type Porter struct {
	loop    *loop
	watcher *lan.Watcher
	trust   atomic.Pointer[registration.Policy]

	requests chan func()
	running  chan struct{} // closed once the loop runs
	stopped  chan struct{} // closed once the loop has ended
}

// New opens the interfaces that conf names. One that is not there is waited for.
// Resume has to come before Run; nothing is answered earlier.
func New(conf *config.Config, m *metrics.Metrics, log *slog.Logger) (*Porter, error) {
	p := newPorter(conf, m, log)
	var err error
	if p.watcher, err = lan.Watch(log); err != nil { // before the first look, so that nothing is missed
		return nil, err
	}
	p.loop.own.open(conf)
	if err = p.loop.interfaces.open(conf); err == nil {
		err = p.loop.configure(conf.Machines)
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// newPorter returns a porter that works on no interface so far.
func newPorter(conf *config.Config, m *metrics.Metrics, log *slog.Logger) *Porter {
	p := &Porter{loop: newLoop(conf, m, log), requests: make(chan func()), running: make(chan struct{}), stopped: make(chan struct{})}
	p.setTrust(conf)
	return p
}

// Close removes the guard and closes the interfaces. Run has ended, or was not
// called.
func (p *Porter) Close() {
	p.loop.kernel.guard.Close()
	p.loop.asides.close()
	p.loop.commands.Stop()
	p.loop.own.close()
	for _, n := range p.loop.nics {
		n.Close()
	}
	if p.watcher != nil {
		p.watcher.Close()
	}
}

func (p *Porter) setTrust(conf *config.Config) {
	t, err := registration.ParseTrust(conf.Registration.Trust)
	if err != nil {
		t = registration.Self // the strictest; the configuration was checked before
	}
	p.trust.Store(&registration.Policy{Trust: t, Allow: conf.Registration.Allow, Token: conf.Registration.Token})
}

// Run answers, watches and wakes until ctx ends; then it releases every claim. An
// interface that goes is waited for.
func (p *Porter) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The readers outlive the loop, so that a machine which speaks during the
	// release is not answered in the meantime.
	reading, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReading()
	p.loop.interfaces.listen(reading)
	changes := make(chan lan.Changes)
	var g errgroup.Group
	g.Go(func() error {
		p.watcher.Run(ctx, func(c lan.Changes) {
			select {
			case changes <- c:
			case <-ctx.Done():
			}
		})
		return nil
	})
	g.Go(func() error {
		p.loop.own.run(ctx)
		return nil
	})
	p.loop.run(ctx, p.requests, changes, func() { close(p.running) })
	close(p.stopped)
	cancel()
	p.loop.commands.Stop()
	stopReading()
	for _, n := range p.loop.nics {
		if err := n.wait(); err != nil {
			return err
		}
	}
	return g.Wait()
}

// inLoop runs f on the loop and waits for it.
func (p *Porter) inLoop(ctx context.Context, f func()) error {
	done := make(chan struct{})
	request := func() {
		f()
		p.loop.publish()
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

// Alive returns nil if the loop still turns.
func (p *Porter) Alive(ctx context.Context) error { return p.inLoop(ctx, func() {}) }

// Started is closed once machines can register and be answered for.
func (p *Porter) Started() <-chan struct{} { return p.running }

// Working is closed once there is an interface to work on.
func (p *Porter) Working() <-chan struct{} { return p.loop.interfaces.working }

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
	for _, n := range p.loop.nics {
		if err := n.unavailable(); err != nil {
			faults = append(faults, err.Error())
		}
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	return nil
}

// Machines returns every machine as it is now, by name; nothing once the porter
// has stopped.
func (p *Porter) Machines() []machine.Status {
	var all []machine.Status
	_ = p.inLoop(context.Background(), func() {
		now := time.Now()
		for _, e := range p.loop.machines.sorted() {
			all = append(all, e.shown(now))
		}
	})
	return all
}

// Knows reports whether a machine with that MAC has registered, or is in the
// configuration. It does not wait for the loop.
func (p *Porter) Knows(mac ether.MAC) bool { return p.loop.machines.knows(mac) }

// Wake wakes a machine on behalf of by.
func (p *Porter) Wake(ctx context.Context, name, by string) error {
	return p.wake(ctx, name, machine.WakeAsked{Trigger: machine.ByAPI, By: by})
}

// TestWake is Wake for a wake that shows whether waking works, and does not count.
func (p *Porter) TestWake(ctx context.Context, name, by string) error {
	return p.wake(ctx, name, machine.WakeAsked{Trigger: machine.ByAPI, By: by, Test: true})
}

func (p *Porter) wake(ctx context.Context, name string, wake machine.WakeAsked) error {
	var paused error
	err := p.withMachine(ctx, name, func(e *entry) {
		if paused = e.paused(time.Now()); paused != nil {
			return
		}
		p.loop.log.Info("wake requested", "event", "wake_requested", "machine", e, "by", wake.By, "state", e.State().String(), "test", wake.Test)
		p.loop.dispatch(e, wake)
	})
	return errors.Join(err, paused)
}

// WakeMAC sends a magic packet for a MAC that no machine has, on every interface.
func (p *Porter) WakeMAC(ctx context.Context, mac ether.MAC, by string) error {
	var failed error
	err := p.inLoop(ctx, func() { failed = p.loop.waker().wakeMAC(mac, by) })
	return errors.Join(err, failed)
}

// Forget releases a machine and drops it.
func (p *Porter) Forget(ctx context.Context, name, by string) error {
	return p.withMachine(ctx, name, func(e *entry) {
		p.loop.dispatch(e, machine.Stopped{})
		p.loop.forget(e, "asked for by "+by)
	})
}

func (p *Porter) withMachine(ctx context.Context, name string, f func(*entry)) error {
	var unknown error
	err := p.inLoop(ctx, func() {
		if e := p.loop.machines.named[name]; e != nil {
			f(e)
		} else {
			unknown = fmt.Errorf("%w: %q", machine.ErrUnknown, name)
		}
	})
	return errors.Join(err, unknown)
}

// Reload takes over what may change while claims are held. It returns the keys
// whose change takes effect only after a restart. An error means that nothing has
// changed.
func (p *Porter) Reload(ctx context.Context, conf *config.Config) ([]string, error) {
	var bad error
	err := p.inLoop(ctx, func() {
		if bad = p.loop.reload(conf); bad == nil {
			p.setTrust(conf)
		}
	})
	return config.NeedsRestart(p.loop.started, conf), errors.Join(err, bad)
}

// Guard tells whether our kernel is kept silent about claimed addresses.
func (p *Porter) Guard() guard.Status { return p.loop.kernel.guard.Status() }

// GuardNeeded tells whether the absence of the guard would matter.
func (p *Porter) GuardNeeded() bool { return p.loop.kernel.guard.Needed() }

// Interfaces returns the names of the interfaces that the porter works on.
func (p *Porter) Interfaces() []string { return p.loop.interfaces.names() }

// Networks returns what is known of each interface; nothing once the porter has
// stopped.
func (p *Porter) Networks() []lan.Network {
	var all []lan.Network
	_ = p.inLoop(context.Background(), func() {
		for _, n := range p.loop.nics {
			network := *n.network.Load()
			network.Name = n.name
			all = append(all, network)
		}
	})
	return all
}

// Drops returns how many packets the kernel dropped, by interface.
func (p *Porter) Drops() map[string]uint64 {
	drops := make(map[string]uint64)
	for _, n := range p.loop.interfaces.named() {
		drops[n.name] = 0
		if l := n.link.Load(); l != nil {
			drops[n.name] = l.Drops()
		}
	}
	return drops
}

// Rejected returns how many frames could not be used, by interface and reason.
func (p *Porter) Rejected() map[string]map[string]uint64 {
	rejected := make(map[string]map[string]uint64)
	for _, n := range p.loop.interfaces.named() {
		by := map[string]uint64{"overrun": n.reader.Lost()} // the loop was too far behind
		if l := n.link.Load(); l != nil {
			for v, count := range l.Rejected() {
				by[v.String()] = count
			}
		}
		for reason, count := range n.reader.Refused() {
			by[reason.String()] = count
		}
		rejected[n.name] = by
	}
	return rejected
}

// Events returns what happened after since, to the machine of that name or to
// all: the newest limit of it, oldest first.
func (p *Porter) Events(since uint64, name string, limit int) []journal.Event {
	return p.loop.journal.Events(since, name, limit)
}

// Follow returns a channel that gets every event from now on, until ctx ends.
func (p *Porter) Follow(ctx context.Context) <-chan journal.Event { return p.loop.journal.Follow(ctx) }

// History returns what is kept of the last days of a machine. It does not wait for
// the loop.
func (p *Porter) History(mac ether.MAC) journal.MachineHistory {
	return p.loop.journal.History(mac)
}

// Storage tells whether what happens can be stored.
func (p *Porter) Storage() journal.Health {
	if err := p.loop.journal.Healthy(); err != nil {
		return journal.Health{Reason: err.Error()}
	}
	return journal.Health{Healthy: true}
}
