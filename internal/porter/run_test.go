package porter

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"nightporter/internal/config"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
	"nightporter/internal/registration"
)

// opened makes a porter as the daemon does, on the lab's porter.
func opened(host *lab.Host, conf *config.Config) (p *Porter, err error) {
	m, err := metrics.New(prometheus.NewRegistry(), metrics.Source{Machines: func() []machine.Status { return nil }})
	if err != nil {
		return nil, err
	}
	err = host.Do(func() (err error) {
		if p, err = New(conf, m, discard); err == nil {
			p.journal = new(notebook)
		}
		return err
	})
	return p, err
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

// work is Run inside the host's namespace: its loop opens sockets, on the thread
// that it is called on.
func (p *Porter) work(ctx context.Context, host *lab.Host) error {
	return host.Do(func() error { return p.Run(ctx) })
}

// The whole porter on a wire: it lets machines in, claims them, counts what it
// cannot use, and releases when it ends.
func TestOnTheWire(t *testing.T) {
	network := labtest.New(t)
	host, client := network.Porter(), network.Client()
	conf := config.Default()
	conf.Interfaces = []string{lab.Interface}
	conf.Registration.Trust = config.TrustOpen
	conf.Probe.Interval, conf.Probe.Misses = 10*time.Millisecond, 2
	conf.Machines = []machine.Spec{tv()}
	p, err := opened(host, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.work(ctx, host) }()
	<-p.Started()

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
	stranger := machine.Spec{Name: "nas", MAC: thiefMAC, Monitor: []machine.Address{{IP: nobody4}}}
	wantRefused(t, register(stranger), `name: "nas" belongs to`)
	stranger.Name, stranger.Monitor[0].IP = "thief", host.Addr4()
	wantRefused(t, register(stranger), "an address of the porter's own host")
	stranger.Monitor[0].IP = network.Router().Addr4()
	wantRefused(t, register(stranger), "a gateway's address")
	stranger.Monitor[0].IP = netip.MustParseAddr("192.0.2.7")
	wantRefused(t, register(stranger), "not in a network of the porter's interface")
	stranger.Monitor[0].IP, stranger.MAC = nobody4, host.MAC()
	wantRefused(t, register(stranger), "an interface of the porter's own host")

	wantRefused(t, register(machine.Spec{Name: "stranger", MAC: thiefMAC}), "monitor: found nothing")

	eventually(t, "both machines are asleep", func() bool {
		all := p.Machines()
		return len(all) == 2 && all[0].State == machine.Asleep && all[1].State == machine.Asleep
	})
	frame, err := lan.NeighborProbe(client.MAC(), machine.Broadcast, client.Addr4(), nas4)
	if err != nil {
		t.Fatal(err)
	}
	capture, err := client.Capture(ctx)
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
	eventually(t, "the frame that is cut off is counted", func() bool {
		return p.Rejected()[lab.Interface]["truncated"] == 1
	})
	if drops, ok := p.Drops()[lab.Interface]; !ok || drops != 0 {
		t.Errorf("drops: %v", p.Drops())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	wantStopping(t, register(nas()))
}

func wantRefused(t *testing.T, err error, text string) {
	t.Helper()
	var r *registration.Refusal
	if !errors.As(err, &r) || !strings.Contains(r.Text, text) {
		t.Errorf("%v, want a refusal with %q", err, text)
	}
}

func wantStopping(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, errStopping) {
		t.Errorf("%v, want %v", err, errStopping)
	}
}

func TestNewNeedsItsInterfaces(t *testing.T) {
	host := labtest.New(t).Porter()
	conf := config.Default()
	// The first is opened and has to be closed again.
	conf.Interfaces = []string{lab.Interface, "eth7"}
	if _, err := opened(host, conf); err == nil || !strings.Contains(err.Error(), "eth7") {
		t.Errorf("an interface that is not there: %v", err)
	}
	conf.Interfaces = nil
	p, err := opened(host, conf)
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
	network := labtest.New(t)
	router := network.Router() // has two interfaces
	conf := config.Default()
	conf.Interfaces = []string{"eth1", "eth0"}
	conf.Registration.Trust = config.TrustOpen
	p, err := opened(router, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.work(ctx, router) }()
	<-p.Started()
	if err := router.AddAddr(ctx, netip.MustParsePrefix("10.99.0.1/24")); err != nil {
		t.Fatal(err)
	}
	req := registration.Request{Spec: machine.Spec{Name: "late", MAC: nasMAC,
		Monitor: []machine.Address{{IP: netip.MustParseAddr("10.99.0.5")}}}}
	if err := router.Do(func() error {
		return p.Register(ctx, req, netip.MustParseAddrPort("10.99.0.5:5000"))
	}); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A claim is not announced once its machine has spoken, though the loop does
// not know that so far; the machine's own return is.
func TestAnnounce(t *testing.T) {
	host := labtest.New(t).Porter()
	conf := config.Default()
	conf.Interfaces = []string{lab.Interface}
	p, err := opened(host, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	capture, err := host.Capture(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer capture.Close()
	n := p.nics[0]
	r := p.settle(nas())
	r.nic, n.stale = n, true
	p.publish()
	n.announce(nas4, n.MAC()) // not answered for: nothing
	n.announce(nas4, nasMAC)
	r.target.Answer([]netip.Addr{nas4, nas6})
	n.announce(nas6, n.MAC())
	n.announce(nobody4, n.MAC()) // the last, and so everything was seen
	var got []string
	if _, err := capture.Wait(ctx, func(f lab.Frame) bool {
		var a lan.Packet
		if !f.Outgoing || a.Parse(f.Data) != lan.Accepted || a.SenderMAC == (machine.MAC{}) {
			return false
		}
		ip := a.From
		if a.Kind == lan.NeighborAdvertisement {
			ip = a.Target
		}
		got = append(got, fmt.Sprintf("%v: %v at %v", a.Kind, ip, a.SenderMAC))
		return a.Kind == lan.ARPReply && ip == nobody4
	}); err != nil {
		t.Fatal(err)
	}
	own := n.MAC().String()
	want := []string{
		"arp request: 10.77.0.20 at " + nasMAC.String(), "arp reply: 10.77.0.20 at " + nasMAC.String(),
		"neighbor advertisement: fd77::20 at " + own,
		"arp request: 10.77.0.99 at " + own, "arp reply: 10.77.0.99 at " + own,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
}
