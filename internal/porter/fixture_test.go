package porter

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"nightporter/internal/config"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
	"nightporter/internal/registration"
)

// patience is how long a test waits for what must happen, in real time.
const patience = 20 * time.Second

// claimTime is how long a machine settles that registers and is silent, with the
// default configuration.
const claimTime = 3*time.Second + time.Millisecond

// discard is for what is logged and not looked at.
var discard = slog.New(slog.DiscardHandler)

// byValue lets cmp compare addresses.
var byValue = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})}

func TestMain(m *testing.M) {
	labtest.Enter()
	goleak.VerifyTestMain(withLab{m})
}

// withLab closes the lab that the tests share before leaks are looked for.
type withLab struct{ *testing.M }

var shared struct {
	once sync.Once
	lan  *lab.LAN
	err  error
}

func (m withLab) Run() int {
	code := m.M.Run()
	if shared.lan != nil {
		shared.lan.Close()
	}
	return code
}

// sharedLab returns a lab whose hosts a test must leave as they are.
func sharedLab(tb testing.TB) *lab.LAN {
	tb.Helper()
	labtest.Need(tb)
	shared.once.Do(func() { shared.lan, shared.err = lab.New(context.Background()) })
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.lan
}

// fixture is a porter on a real interface and on fake time. The test takes the
// place of its loop: it hands in frames and lets time pass. What the porter sends
// is kept, and goes nowhere.
type fixture struct {
	testing.TB
	*loop
	porter  *Porter
	host    *lab.Host
	n       *nic // the first interface; nil where none is open
	metrics *prometheus.Registry
	output  bytes.Buffer // the log
	events  *memoryLog

	mu    sync.Mutex // what follows is the loop's too, while it runs
	sent  []sentFrame
	peers []*peer
}

// sentFrame is a frame that the porter sent.
type sentFrame struct {
	lan.Packet
	on *nic
	at time.Time
}

// withLoop runs f inside the namespace of the lab's porter, with the interface
// open. f must leave the host as it is. set changes the configuration, and may be
// nil.
func withLoop(t *testing.T, set func(*config.Config), f func(*fixture)) {
	t.Helper()
	withLoopOn(t, sharedLab(t).Porter(), func(c *config.Config) {
		c.Interfaces = []string{lab.Interface}
		if set != nil {
			set(c)
		}
	}, f)
}

// withLoopOn does it on another host, with the interfaces that set names.
func withLoopOn(t *testing.T, host *lab.Host, set func(*config.Config), f func(*fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		err := host.Do(func() error {
			x := newFixture(t, set)
			x.host = host
			defer x.porter.Close()
			if err := x.interfaces.open(x.conf); err != nil {
				return err
			}
			for _, n := range x.nics {
				x.keep(n)
			}
			x.n = x.nics[0]
			f(x)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// newFixture returns a porter without an interface.
func newFixture(t testing.TB, set func(*config.Config)) *fixture {
	t.Helper()
	x := &fixture{TB: t, metrics: prometheus.NewRegistry(), events: new(memoryLog)}
	m, err := metrics.New(x.metrics, metrics.Source{Machines: func() []machine.Status { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	conf := config.Default()
	if set != nil {
		set(conf)
	}
	log := slog.New(slog.NewTextHandler(&x.output, &slog.HandlerOptions{Level: slog.LevelDebug}))
	x.porter = newPorter(conf, m, log)
	x.loop = x.porter.loop
	x.journal = x.events
	return x
}

// keep has what n sends go to the test. A peer may answer it.
func (x *fixture) keep(n *nic) {
	n.transmit = func(frame []byte) error {
		s := sentFrame{on: n, at: time.Now()}
		if v := s.Parse(slices.Clone(frame)); v != lan.Accepted {
			x.Errorf("sent a frame that is %v", v)
		}
		x.mu.Lock()
		x.sent = append(x.sent, s)
		peers := slices.Clone(x.peers)
		x.mu.Unlock()
		for _, p := range peers {
			p.answer(&s)
		}
		return nil
	}
}

// serve runs the loop until stop is called. Meanwhile the test must leave it alone.
func (x *fixture) serve() (stop func()) {
	ctx, cancel := context.WithCancel(x.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- x.host.Do(func() error {
			x.run(ctx, x.porter.requests, nil, func() { close(x.porter.running) })
			close(x.porter.stopped)
			return nil
		})
	}()
	<-x.porter.Started()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			x.Error(err)
		}
	}
}

// again opens the interface once more, as another one.
func (x *fixture) again() *nic {
	x.Helper()
	n := newNIC(lab.Interface, false, x.sightings, x.replied, x.loop.log)
	if err := n.open(x.loop.log); err != nil {
		x.Fatal(err)
	}
	n.applied = *n.network.Load()
	x.keep(n)
	x.nics = append(x.nics, n)
	return n
}

// pass lets time pass, and does what is due.
func (x *fixture) pass(d time.Duration) {
	for end := time.Now().Add(d); ; {
		next := x.next()
		if next.IsZero() || next.After(end) {
			time.Sleep(time.Until(end))
			return
		}
		time.Sleep(time.Until(next))
		x.turn()
	}
}

// turn is what the loop does after each event.
func (x *fixture) turn() {
	x.tick()
	x.publish()
}

// hear has the porter hear a frame.
func (x *fixture) hear(p *lan.Packet) {
	x.n.reader.Handle(p)
	x.turn()
}

// machine returns the machine with a MAC.
func (x *fixture) machine(spec machine.Spec) *entry { return x.machines.byMAC[spec.MAC] }

// register lets a machine in that is about to sleep.
func (x *fixture) register(spec machine.Spec) *entry {
	x.Helper()
	x.admitted(request(spec), x.n)
	return x.machine(spec)
}

// admitted takes in a registration on an interface. Every address of it can be
// claimed, unless places say otherwise.
func (x *fixture) admitted(req registration.Request, n *nic, places ...machine.Place) {
	x.Helper()
	if err := x.admit(admission{Request: req, places: places, nic: n, fromMachine: true}); err != nil {
		x.Fatal(err)
	}
	x.turn()
}

// asleep lets a machine register and fall silent, with the defaults.
func (x *fixture) asleep(spec machine.Spec) *entry {
	x.Helper()
	e := x.register(spec)
	x.pass(claimTime)
	x.want(e, machine.Asleep, spec.Addrs()...)
	return e
}

// configured has the configuration name these machines, and no others.
func (x *fixture) configured(specs ...machine.Spec) {
	x.Helper()
	if err := x.configure(specs); err != nil {
		x.Fatal(err)
	}
	x.place()
	x.publish()
}
