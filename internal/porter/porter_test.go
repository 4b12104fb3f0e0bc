package porter

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/lab"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

func TestInLoop(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		p := x.porter
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "starting") {
			t.Errorf("ready before the loop: %v", err)
		}
		ctx, cancel := context.WithTimeout(x.Context(), time.Second)
		defer cancel()
		if err := p.inLoop(ctx, func() { t.Error("ran before the loop") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before the loop: %v", err)
		}
		stop := x.serve()
		if err := errors.Join(p.Ready(), p.Alive(x.Context())); err != nil {
			t.Error(err)
		}
		ran := 0
		for range 10 {
			if err := p.inLoop(x.Context(), func() { ran++ }); err != nil {
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
		if err := p.Register(context.Background(), request(nas()), registration.Peer{Addr: netip.AddrPortFrom(nas4, 1)}); !errors.Is(err, errStopping) {
			t.Errorf("a registration after the loop: %v", err)
		}
		if all := p.Machines(); all != nil {
			t.Errorf("%d machines after the loop", len(all))
		}
		for range 100 {
			if !errors.Is(p.Ready(), errStopping) {
				t.Fatal("ready after the loop has ended")
			}
		}
	})
}

// A request that comes while the loop ends gets an answer, one way or the other.
func TestInLoopAtTheEnd(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		stop := x.serve()
		const askers = 8
		asked, done := make(chan struct{}, askers), make(chan error, askers)
		for range askers {
			go func() {
				for {
					err := x.porter.inLoop(context.Background(), func() {})
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
				t.Fatal("a request waits for a loop that has ended")
			}
		}
	})
}

// What other goroutines may ask for.
func TestRequests(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.configured(tv(), nas())
		stop := x.serve()
		p, ctx := x.porter, x.Context()
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
		if got := p.Machines()[0].Tally.Attempts; got != 0 {
			t.Errorf("%d attempts to wake a machine that may be awake, want its one magic packet only", got)
		}
		// The configuration knows it, and so it stays, as new.
		if err := p.Forget(ctx, "nas", "the test"); err != nil {
			t.Error(err)
		}
		if s := p.Machines()[0]; s.Name != "nas" || s.Tally.Attempts != 0 {
			t.Errorf("after it was forgotten: %s with %d attempts", s.Name, s.Tally.Attempts)
		}
		stop()
		if x.logged("requested by the test") != 1 || x.logged("magic packet sent") != 1 {
			t.Errorf("the log:\n%s", &x.output)
		}
	})
}

func TestReload(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		defer x.serve()()
		p := x.porter
		reload := func(change func(*config.Config)) []string {
			t.Helper()
			conf := config.Default()
			conf.Interfaces = []string{lab.Interface}
			change(conf)
			restart, err := p.Reload(x.Context(), conf)
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
		if err := p.inLoop(x.Context(), func() {
			if got := x.policy().WakeAttempts; got != 9 {
				t.Errorf("%d attempts", got)
			}
		}); err != nil {
			t.Error(err)
		}
	})
}

func TestTrustThatIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newFixture(t, func(c *config.Config) { c.Registration.Trust = "nonsense" })
		if got := x.porter.trust.Load().Trust; got != registration.Self {
			t.Errorf("a trust that is none became %v, want the strictest", got)
		}
	})
}
