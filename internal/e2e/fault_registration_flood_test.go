package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// floodClients are clients of the registration that flood it. They are on several hosts.
type floodClients struct {
	from []*lab.Host
	to   string
	done atomic.Int64
}

// floodActs are what one connection of the flood does, until ctx ends.
var floodActs = []func(ctx context.Context, r *rand.Rand, conn net.Conn){
	func(ctx context.Context, _ *rand.Rand, conn net.Conn) { // one byte a second, without an end
		for ctx.Err() == nil {
			if _, err := io.WriteString(conn, "{"); err != nil {
				return
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	},
	func(_ context.Context, _ *rand.Rand, conn net.Conn) { // silence
		_, _ = io.Copy(io.Discard, conn)
	},
	func(_ context.Context, r *rand.Rand, conn net.Conn) { // garbage
		b := make([]byte, 1+r.IntN(4000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		_, _ = conn.Write(b)
		_, _ = io.Copy(io.Discard, conn)
	},
	func(_ context.Context, _ *rand.Rand, conn net.Conn) { // a megabyte
		_, _ = io.WriteString(conn, `{"mac":"02:77:00:00:00:14","name":"`+strings.Repeat("x", 1<<20))
		_, _ = io.Copy(io.Discard, conn)
	},
	func(_ context.Context, r *rand.Rand, conn net.Conn) { // another machine
		mac := ether.MAC{2, 0x77, 0, 0, 0, byte(r.Uint32())}
		_, _ = io.WriteString(conn, registration("not mine", mac, monitored{nas4, []any{22}}))
		_, _ = io.Copy(io.Discard, conn)
	},
	func(_ context.Context, _ *rand.Rand, conn net.Conn) { // half a request on a half-closed connection
		_, _ = io.WriteString(conn, `{"mac":`)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, conn)
	},
	func(context.Context, *rand.Rand, net.Conn) {}, // closes at once
}

// slowConnections is the number of connections that each host keeps open with an unfinished
// request. Together they exceed the limit.
const slowConnections = 20

// run makes n connections from each host, up to a hundred at a time, and keeps the slow
// connections open until ctx ends.
func (m *floodClients) run(ctx context.Context, n int) {
	var all sync.WaitGroup
	for i, host := range m.from {
		for range slowConnections {
			all.Go(func() { m.stay(ctx, host) })
		}
		room := make(chan struct{}, 100)
		for j := range n {
			all.Go(func() {
				select {
				case room <- struct{}{}:
				case <-ctx.Done():
					return
				}
				defer func() { <-room }()
				r := rand.New(rand.NewPCG(uint64(i), uint64(j)))
				m.connect(ctx, r, host, floodActs[r.IntN(len(floodActs))])
			})
		}
	}
	all.Wait()
}

// stay reconnects soon after the daemon has closed the connection.
func (m *floodClients) stay(ctx context.Context, host *lab.Host) {
	for ctx.Err() == nil {
		m.connect(ctx, nil, host, floodActs[0])
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (m *floodClients) connect(ctx context.Context, r *rand.Rand, host *lab.Host, pest func(context.Context, *rand.Rand, net.Conn)) {
	m.done.Add(1)
	conn, err := host.Dial(ctx, "tcp", m.to)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	defer conn.Close()
	pest(ctx, r, conn)
}

// sleepAndWakeOften lets nas register, sleep, and be woken by a client repeatedly during the
// flood. It returns the number of rounds, and the time of the slowest registration.
func sleepAndWakeOften(h *harness, nas *lab.Machine, going func() bool) (n int, slowest time.Duration) {
	h.Helper()
	for ; going() && n < 1000; n++ {
		began := time.Now()
		h.register(nas.Host, nasRegistration(nas)) // at the first attempt
		slowest = max(slowest, time.Since(began))
		entries := h.daemon.Log.Len()
		h.must(nas.Sleep(h.ctx))
		h.waitMove(entries, "nas", "settling", "asleep", machine.WhySilent)
		if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
			h.Fatalf("the service said %q", got)
		}
		h.waitMove(entries, "nas", "arriving", "awake", machine.WhyReady)
	}
	return n, slowest
}

// TestFaultRegistrationFlood: while several hosts flood the registration in all ways, a machine
// registers, sleeps and is woken, and the daemon does not grow.
func TestFaultRegistrationFlood(t *testing.T) {
	onlyVariants(t)
	ctx, lan := newLANFor(t, 5*time.Minute) // not parallel: it takes the whole computer
	h := openOn(ctx, t, lan, fastProbe)
	nas := h.addNAS(nil)
	m := &floodClients{to: netip.AddrPortFrom(h.lan.Porter().Addr4(), labdaemon.RegistrationPort).String()}
	for i := range 5 {
		host, err := h.lan.AddHost(fmt.Sprintf("flooder%d", i), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(60 + i)}), 24))
		h.must(err)
		m.from = append(m.from, host)
	}
	h.register(nas.Host, nasRegistration(nas)) // allocates what is allocated once
	before, files := daemonMemory(h)
	raging, calm := context.WithCancel(h.ctx)
	defer calm()
	ended := make(chan struct{})
	each := soak(200, 2000)
	go func() { defer close(ended); m.run(raging, each) }()
	began := time.Now()
	during, most := before, files
	sleeps, slowest := sleepAndWakeOften(h, nas, func() bool {
		rss, open := daemonMemory(h)
		during, most = max(during, rss), max(most, open)
		return m.done.Load() < int64(len(m.from)*each) || time.Since(began) < time.Duration(soak(5, 60))*time.Second
	})
	calm()
	<-ended
	t.Logf("%d connections of the flood in %v; %d sleeps, the slowest registration took %v; resident %d MiB at most, before %d; files %d at most, before %d",
		m.done.Load(), time.Since(began).Round(time.Millisecond), sleeps, slowest.Round(time.Millisecond), during>>20, before>>20, most, files)
	if sleeps == 0 || slowest > 3*time.Second {
		t.Error("the machine registered too slowly during the flood")
	}
	if during > before+48<<20 || most > files+64+64+32 {
		t.Error("the daemon has grown")
	}
	waitFilesClosed(h, files)
	wantRefusalsLogged(h)
}

// waitFilesClosed waits until the daemon has closed the connections.
func waitFilesClosed(h *harness, files int) {
	h.Helper()
	now := 0
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, now = daemonMemory(h); now <= files+2 { // one may be the test's own
			return
		}
	}
	h.Errorf("%d files are open still, %d before", now, files)
}

// wantRefusalsLogged expects that refusals are counted by reason, and a few of them logged.
func wantRefusalsLogged(h *harness) {
	h.Helper()
	total := 0.0
	for _, reason := range []string{"invalid", "refused", "limited"} {
		n := h.metric(`nightporter_registrations_rejected_total{reason=%q}`, reason)
		h.Logf("%s: %v", reason, n)
		if n == 0 {
			h.Errorf("no refusal is counted as %s", reason)
		}
		total += n
	}
	lines := strings.Count(h.daemon.Log.Text(), `"registration refused"`)
	if lines == 0 || lines > 150 || float64(lines) > total {
		h.Errorf("%d lines about %v refusals", lines, total)
	}
}
