package porter

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// turn runs the loop of p, and returns what ends it.
func turn(t *testing.T, p *Porter) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.loop(ctx)
	}()
	<-p.Started()
	return func() { cancel(); <-ended }
}

func TestInLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := vacant(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.inLoop(ctx, func() { t.Error("ran before the loop") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before the loop: %v", err)
		}
		stop := turn(t, p)
		ran := 0
		for range 10 {
			if err := p.inLoop(t.Context(), func() { ran++ }); err != nil {
				t.Error(err)
			}
		}
		if ran != 10 {
			t.Errorf("%d of 10 ran before inLoop returned", ran)
		}
		stop()
		if err := p.inLoop(context.Background(), func() { t.Error("ran after the loop") }); !errors.Is(err, errStopping) {
			t.Errorf("after the loop: %v", err)
		}
		if all := p.Machines(); all != nil {
			t.Errorf("%d machines after the loop", len(all))
		}
	})
}

// Whoever asks while the loop ends gets an answer, one way or the other.
func TestInLoopAtTheEnd(t *testing.T) {
	p, _ := vacant(t, nil)
	stop := turn(t, p)
	const askers = 8
	asked, done := make(chan struct{}, askers), make(chan error, askers)
	for range askers {
		go func() {
			for {
				err := p.inLoop(context.Background(), func() {})
				select {
				case asked <- struct{}{}:
				default:
				}
				if err != nil {
					done <- err
					return
				}
			}
		}()
	}
	<-asked
	stop()
	for range askers {
		select {
		case err := <-done:
			if !errors.Is(err, errStopping) {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("somebody waits for a loop that has ended")
		}
	}
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := vacant(t, nil)
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "starting") {
			t.Errorf("before the loop: %v", err)
		}
		stop := turn(t, p)
		if err := p.Ready(); err != nil {
			t.Error(err)
		}
		stop()
	})
}

func TestAPIOfTheHouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p, _ := vacant(t, &log)
		defer turn(t, p)()
		ctx := t.Context()
		if err := p.inLoop(ctx, func() { p.know(t, tv(), nas()) }); err != nil {
			t.Fatal(err)
		}
		names := func() (all []string) {
			for _, s := range p.Machines() {
				all = append(all, s.Name)
			}
			return all
		}
		if got := names(); !slices.Equal(got, []string{"nas", "tv"}) {
			t.Errorf("machines %q, want them by name", got)
		}
		for _, err := range []error{p.Wake(ctx, "attic", "test"), p.Forget(ctx, "attic", "test")} {
			if !errors.Is(err, machine.ErrUnknown) || !strings.Contains(err.Error(), `"attic"`) {
				t.Errorf("an unknown machine: %v", err)
			}
		}
		if err := p.Wake(ctx, "nas", "test"); err != nil {
			t.Error(err)
		}
		if got := p.Machines()[0].Tally.Attempts; got != 1 {
			t.Errorf("%d magic packets for a machine that may be awake, want 1", got)
		}
		// The configuration knows it, and so it stays, as new.
		if err := p.Forget(ctx, "nas", "the test"); err != nil {
			t.Error(err)
		}
		if s := p.Machines()[0]; s.Name != "nas" || s.Tally.Attempts != 0 {
			t.Errorf("after it was forgotten: %s with %d attempts", s.Name, s.Tally.Attempts)
		}
		if err := p.inLoop(ctx, func() {}); err != nil || !strings.Contains(log.String(), "asked for by the test") {
			t.Errorf("%v, log:\n%s", err, &log)
		}
	})
}

func TestReloadMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := vacant(t, nil)
		defer turn(t, p)()
		reload := func(change func(*config.Config)) []string {
			t.Helper()
			conf := config.Default()
			change(conf)
			restart, err := p.Reload(t.Context(), conf)
			if err != nil {
				t.Fatal(err)
			}
			return restart
		}
		names := func() string {
			var all []string
			for _, s := range p.Machines() {
				all = append(all, s.Name)
			}
			return strings.Join(all, " ")
		}
		reload(func(c *config.Config) { c.Machines = []machine.Spec{nas(), tv()} })
		if got := names(); got != "nas tv" {
			t.Errorf("machines %q", got)
		}
		restart := reload(func(c *config.Config) {
			c.Machines = []machine.Spec{tv()}
			c.Interfaces = []string{"eth7"}
			c.Wake.Attempts = 9
			c.Registration.Trust = config.TrustOpen
		})
		if got := names(); got != "tv" {
			t.Errorf("machines %q after one was taken out", got)
		}
		if !slices.Equal(restart, []string{"interfaces"}) {
			t.Errorf("keys that need a restart: %q", restart)
		}
		if got := p.trust.Load().Trust; got != registration.Open {
			t.Errorf("trust is %v", got)
		}
		if err := p.inLoop(t.Context(), func() {
			if got := p.policy().WakeAttempts; got != 9 {
				t.Errorf("%d attempts", got)
			}
		}); err != nil {
			t.Error(err)
		}
	})
}
