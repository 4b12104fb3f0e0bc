package porter

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nightporter/internal/config"
	"nightporter/internal/ether"
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
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
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
		return host.Do(func() error {
			return p.Register(t.Context(), req, registration.Peer{Addr: netip.AddrPortFrom(client.Addr4(), 50000)})
		})
	}
	if err := register(nas()); err != nil {
		t.Fatal(err)
	}
	if err := register(machine.Spec{MAC: tvMAC}); err != nil { // the configuration has its addresses
		t.Error(err)
	}
	refusals(t, network, register)
	eventually(t, "both machines are asleep", func() bool {
		all := p.Machines()
		return len(all) == 2 && all[0].State == machine.Asleep && all[1].State == machine.Asleep
	})
	frame, err := lan.NeighborProbe(client.MAC(), ether.Broadcast, client.Addr4(), nas4)
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

// refusals registers what may not be registered, whatever the trust.
func refusals(t *testing.T, network *lab.LAN, register func(machine.Spec) error) {
	t.Helper()
	host := network.Porter()
	stranger := at(machine.Spec{Name: "nas", MAC: strangerMAC}, unused4)
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
}

func TestNewNeedsAnInterface(t *testing.T) {
	host := sharedLab(t).Porter()
	if _, err := opened(host, func(c *config.Config) { c.Interfaces = []string{"lo"} }); err == nil || !strings.Contains(err.Error(), "not Ethernet") {
		t.Errorf("an interface that is no Ethernet: %v", err)
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
	if err := router.Do(func() error {
		return p.Register(t.Context(), req, registration.Peer{Addr: netip.MustParseAddrPort("10.99.0.5:5000")})
	}); err != nil {
		t.Error(err)
	}
}
