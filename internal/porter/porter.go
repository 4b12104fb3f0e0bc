package porter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
	"nightporter/internal/registration"
)

// errStopping is the error of requests while the porter stops.
var errStopping = errors.New("nightporter is stopping")

// Porter is the daemon's core. Its methods send requests to the loop and are safe for any
// goroutine, except New, Resume, Repair, MountGuard, Run and Close, which belong to the
// goroutine that starts it, in this order.
type Porter struct {
	loop    *loop
	watcher *lan.Watcher
	trust   atomic.Pointer[registration.Policy]

	requests chan func()
	running  chan struct{} // closed once the loop runs
	stopped  chan struct{} // closed once the loop has ended
}

// New opens the interfaces that conf names. A missing interface is opened when it appears.
// Resume must come before Run. No frame is answered before Run.
func New(conf *config.Config, m *metrics.Metrics, log *slog.Logger) (*Porter, error) {
	p := newPorter(conf, m, log)
	var err error
	if p.watcher, err = lan.Watch(log); err != nil { // before the interfaces are read, so that no change is missed
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

// newPorter returns a porter without interfaces.
func newPorter(conf *config.Config, m *metrics.Metrics, log *slog.Logger) *Porter {
	p := &Porter{loop: newLoop(conf, m, log), requests: make(chan func()), running: make(chan struct{}), stopped: make(chan struct{})}
	p.setTrust(conf)
	return p
}

// Close removes the guard and closes the interfaces. Run must have ended, or not have
// begun.
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

// Run works until ctx ends, and then releases every claim. A removed interface is opened
// again when it appears.
func (p *Porter) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The readers outlive the loop, so that no address is answered for during the
	// release after a frame of its machine.
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

// inLoop runs f on the loop's goroutine and waits for it.
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

// Alive returns nil if the loop handles requests.
func (p *Porter) Alive(ctx context.Context) error { return p.inLoop(ctx, func() {}) }

// Started returns a channel that is closed once the loop runs.
func (p *Porter) Started() <-chan struct{} { return p.running }

// Working returns a channel that is closed once an interface works.
func (p *Porter) Working() <-chan struct{} { return p.loop.interfaces.working }

// Wake wakes a machine. by is who requested it, for the journal. It returns
// machine.ErrUnknown or machine.ErrConflict if that is not possible.
func (p *Porter) Wake(ctx context.Context, name, by string) error {
	return p.wake(ctx, name, machine.WakeRequested{Trigger: machine.ByAPI, By: by})
}

// TestWake is Wake for a test of the wake path, which the statistics do not count.
func (p *Porter) TestWake(ctx context.Context, name, by string) error {
	return p.wake(ctx, name, machine.WakeRequested{Trigger: machine.ByAPI, By: by, Test: true})
}

func (p *Porter) wake(ctx context.Context, name string, wake machine.WakeRequested) error {
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

// Forget releases the claims of a machine and removes it.
func (p *Porter) Forget(ctx context.Context, name, by string) error {
	return p.withMachine(ctx, name, func(e *entry) {
		p.loop.dispatch(e, machine.Stopped{})
		p.loop.forget(e, "requested by "+by)
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

// Reload applies a new configuration. It returns the changed keys that take effect only
// after a restart. After an error the old configuration stays.
func (p *Porter) Reload(ctx context.Context, conf *config.Config) ([]string, error) {
	var bad error
	err := p.inLoop(ctx, func() {
		if bad = p.loop.reload(conf); bad == nil {
			p.setTrust(conf)
		}
	})
	return config.NeedsRestart(p.loop.started, conf), errors.Join(err, bad)
}
