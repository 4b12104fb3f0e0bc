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

	"github.com/prometheus/client_golang/prometheus"

	"nightporter/internal/config"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
	"nightporter/internal/registration"
)

// opened makes a porter as the daemon does, on a host of the lab.
func opened(host *lab.Host, set func(*config.Config)) (p *Porter, err error) {
	m, err := metrics.New(prometheus.NewRegistry(), metrics.Source{Machines: func() []machine.Status { return nil }})
	if err != nil {
		return nil, err
	}
	conf := config.Default()
	set(conf)
	err = host.Do(func() (err error) {
		if p, err = New(conf, m, discard); err == nil {
			p.Resume(new(memoryLog), journal.Past{})
		}
		return err
	})
	return p, err
}

// started has it run, in real time, until the test ends.
func started(t *testing.T, host *lab.Host, set func(*config.Config)) *Porter {
	t.Helper()
	p, err := opened(host, set)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- host.Do(func() error { return p.Run(ctx) }) }() // its loop opens sockets
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		p.Close()
	})
	<-p.Started()
	return p
}

// eventually waits until what is true.
func eventually(t *testing.T, what string, true func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !true() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %v: %s", patience, what)
		case <-tick.C:
		}
	}
}

// The whole porter on a wire: it lets machines in, claims them, counts what it
// cannot use, and releases when it ends.
func TestOnTheWire(t *testing.T) {
	network := labtest.New(t)
	host, client := network.Porter(), network.Client()
	p := started(t, host, func(c *config.Config) {
		c.Interfaces = []string{lab.Interface}
		c.Registration.Trust = config.TrustOpen
		c.Probe.Interval, c.Probe.Misses = 10*time.Millisecond, 2
		c.Machines = []machine.Spec{tv()}
	})
	register := func(spec machine.Spec) error {
		req := registration.Request{Spec: spec, HasName: spec.Name != "", HasMonitor: len(spec.Monitor) > 0, Warnings: []string{"a test"}}
		return host.Do(func() error { return p.Register(t.Context(), req, netip.AddrPortFrom(client.Addr4(), 50000)) })
	}
	if err := register(nas()); err != nil {
		t.Fatal(err)
	}
	if err := register(machine.Spec{MAC: tvMAC}); err != nil { // the configuration has its addresses
		t.Error(err)
	}
	stranger := at(machine.Spec{Name: "nas", MAC: strangerMAC}, unused4)
	wantRefused(t, register(stranger), `name: "nas" belongs to`)
	for ip, text := range map[netip.Addr]string{
		host.Addr4(): "an address of the porter's own host", network.Router().Addr4(): "a gateway's address",
		netip.MustParseAddr("192.0.2.7"): "not in a network of the porter's interface",
	} {
		wantRefused(t, register(at(named(stranger, "stranger"), ip)), text)
	}
	ourselves := named(stranger, "stranger")
	ourselves.MAC = host.MAC()
	wantRefused(t, register(ourselves), "an interface of the porter's own host")
	wantRefused(t, register(machine.Spec{Name: "stranger", MAC: strangerMAC}), "monitor: found nothing")

	eventually(t, "both machines are asleep", func() bool {
		all := p.Machines()
		return len(all) == 2 && all[0].State == machine.Asleep && all[1].State == machine.Asleep
	})
	frame, err := lan.NeighborProbe(client.MAC(), machine.Broadcast, client.Addr4(), nas4)
	if err != nil {
		t.Fatal(err)
	}
	capture, err := client.Capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer capture.Close()
	if err := errors.Join(client.SendFrame(frame), client.SendFrame(frame[:14])); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the client is answered", func() bool {
		for _, f := range capture.Frames() {
			var a lan.Packet
			if !f.Outgoing && a.Parse(f.Data) == lan.Accepted && a.Kind == lan.ARPReply && a.From == nas4 &&
				a.Dst == client.MAC() && a.SenderMAC == host.MAC() {
				return true
			}
		}
		return false
	})
	eventually(t, "the frame that is cut off is counted", func() bool { return p.Rejected()[lab.Interface]["truncated"] == 1 })
	if drops, ok := p.Drops()[lab.Interface]; !ok || drops != 0 {
		t.Errorf("drops: %v", p.Drops())
	}
}

func TestNewNeedsAnInterface(t *testing.T) {
	host := sharedLab(t).Porter()
	if _, err := opened(host, func(c *config.Config) { c.Interfaces = []string{"eth7"} }); err == nil || !strings.Contains(err.Error(), "eth7") {
		t.Errorf("an interface that is not there: %v", err)
	}
	p, err := opened(host, func(*config.Config) {})
	if err != nil {
		t.Fatalf("the interface of the default route: %v", err)
	}
	defer p.Close()
	if got := strings.Join(p.Interfaces(), " "); got != lab.Interface {
		t.Errorf("works on %q", got)
	}
}

// An address that a second interface got after the start is on its network.
func TestAddressAfterTheStart(t *testing.T) {
	router := labtest.New(t).Router() // has two interfaces
	p := started(t, router, func(c *config.Config) {
		c.Interfaces = []string{"eth1", "eth0"}
		c.Registration.Trust = config.TrustOpen
	})
	if err := router.AddAddr(t.Context(), netip.MustParsePrefix("10.99.0.1/24")); err != nil {
		t.Fatal(err)
	}
	req := request(at(named(nas(), "late"), netip.MustParseAddr("10.99.0.5")))
	if err := router.Do(func() error { return p.Register(t.Context(), req, netip.MustParseAddrPort("10.99.0.5:5000")) }); err != nil {
		t.Error(err)
	}
}

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
		if err := p.Register(context.Background(), request(nas()), netip.AddrPortFrom(nas4, 1)); !errors.Is(err, errStopping) {
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
		stop()
		if x.logged("asked for by the test") != 1 {
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
