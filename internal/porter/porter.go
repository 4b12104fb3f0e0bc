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

// Wake wakes a machine on behalf of by.
func (p *Porter) Wake(ctx context.Context, name, by string) error {
	return p.wake(ctx, name, machine.WakeRequested{Trigger: machine.ByAPI, By: by})
}

// TestWake is Wake for a wake that shows whether waking works, and does not count.
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
