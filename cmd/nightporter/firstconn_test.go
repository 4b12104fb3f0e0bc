package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
)

// wholeProof is how many connections are the proof; fewer are a sample of it.
// The figures are asserted with the whole proof only, which wants a quiet
// machine to itself: `make connections`.
const wholeProof = 100

var (
	connections = flag.Int("connections", 34, "first connections of TestFirstConnections; with 100 and more the figures are asserted")
	seed        = flag.Uint64("seed", 1, "what tests draw from that do something at random")
)

// What a first connection may take after its service is ready.
const (
	medianReady = 10 * time.Millisecond
	worstReady  = 100 * time.Millisecond
)

// TestFirstConnections: whoever is the first to connect to a sleeping machine
// is served with one connect(), as soon as the service is ready and by the SYN
// that was held, whatever the machine, the client and the mode.
func TestFirstConnections(t *testing.T) {
	t.Parallel()
	if *connections < 2 || *connections > 400 {
		t.Fatalf("-connections %d: want 2 to 400", *connections)
	}
	results := make([][]result, len(modes))
	began := time.Now()
	t.Run("modes", func(t *testing.T) {
		for i, mode := range modes {
			share := *connections / len(modes)
			t.Run(mode.name, func(t *testing.T) {
				// All of the proof is drawn; a sample is the beginning of it.
				draws := drawConnections(*seed+uint64(i), max(share, wholeProof/len(modes)))
				h := openFor(t, brisk+mode.conf, time.Duration(share)*10*time.Second)
				results[i] = h.firstConnections(draws[:share])
				t.Log(summary(results[i]))
			})
		}
	})
	all := slices.Concat(results...)
	t.Logf("%s; seed %d, %.0f s", summary(all), *seed, time.Since(began).Seconds())
	if *connections < wholeProof {
		return
	}
	if median, worst := latencies(all); median > medianReady || worst > worstReady {
		t.Errorf("connected %v after the service was ready (median), %v (worst), want at most %v and %v", median, worst, medianReady, worstReady)
	}
}

// A result is what became of a draw.
type result struct {
	draw
	err   error         // the first connection failed
	odd   []string      // what else is not as it is to be
	after time.Duration // from ready to connected
	syns  int           // that the machine got
	sent  []lab.Frame   // the client's SYNs
	up    time.Time     // when the service came up
	near  bool          // that was close to a retransmission
	mine  bool          // served by the porter's replay
}

// atOnce is how many machines are asleep or waking at a time.
const atOnce = 10

// firstConnections makes all of the connections, and complains of each that is
// not as it is to be.
func (h *house) firstConnections(draws []draw) []result {
	h.Helper()
	machines := make([]*lab.Machine, len(draws))
	for i, d := range draws {
		machines[i] = h.drawn(d)
	}
	clients := []*lab.Host{h.lan.Client()}
	for i := 1; i < 4; i++ {
		c, err := h.lan.AddHost(fmt.Sprintf("client%d", i), netip.MustParsePrefix(fmt.Sprintf("10.77.0.%d/24", 10+i)), netip.MustParsePrefix(fmt.Sprintf("fd77::%d/64", 10+i)))
		h.must(err)
		clients = append(clients, c)
	}
	captures := make([]*lab.Capture, len(clients))
	for i, c := range clients {
		captures[i] = h.capturePort(c)
	}
	results := make([]result, len(draws))
	var work errgroup.Group
	work.SetLimit(atOnce)
	for i, d := range draws {
		work.Go(func() error {
			results[i] = h.firstConnection(d, machines[i], clients[i%len(clients)], captures[i%len(clients)])
			return nil
		})
	}
	_ = work.Wait() // a failed connection is a result
	near := 0
	for _, r := range results {
		if r.err != nil {
			h.Errorf("%v: %v", r.draw, r.err)
		}
		for _, what := range r.odd {
			h.Errorf("%v: %s", r.draw, what)
		}
		if r.near {
			h.Logf("%v: its service came up %v after the first of %d SYNs, too near to a retransmission", r.draw, r.up.Sub(r.sent[0].Time), len(r.sent))
			near++
		}
	}
	// A busy computer may be late for some; of a quiet one it is the draw's fault.
	if *connections >= wholeProof && near > 0 || near > len(draws)/4 {
		h.Errorf("%d of %d draws prove nothing", near, len(draws))
	}
	return results
}

// drawn adds the machine of a draw.
func (h *house) drawn(d draw) *lab.Machine {
	h.Helper()
	cfg := lab.MachineConfig{
		Name: fmt.Sprintf("m%d", d.n), Boot: d.boot, Announce: d.announce,
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 22, Delay: d.delay}},
	}
	if !d.six || d.both {
		cfg.Addrs = append(cfg.Addrs, netip.MustParsePrefix(fmt.Sprintf("10.77.0.%d/24", 50+d.n)))
	}
	if d.six || d.both {
		cfg.Addrs = append(cfg.Addrs, netip.MustParsePrefix(fmt.Sprintf("fd77::%d/64", 50+d.n)))
	}
	m, err := h.lan.AddMachine(cfg)
	h.must(err)
	return m
}

// firstConnection puts m to sleep and connects to it.
func (h *house) firstConnection(d draw, m *lab.Machine, client *lab.Host, atClient *lab.Capture) (r result) {
	r.draw = d
	ctx, cancel := context.WithTimeout(h.ctx, time.Minute)
	defer cancel()
	to := netip.AddrPortFrom(m.Addr4(), 22)
	if d.six {
		to = netip.AddrPortFrom(m.Addr6(), 22)
	}
	if d.warm {
		if r.err = client.WarmNeighbor(ctx, to.Addr()); r.err != nil {
			return r
		}
	}
	var monitor []entry
	for _, ip := range []netip.Addr{m.Addr4(), m.Addr6()} {
		if ip.IsValid() {
			monitor = append(monitor, entry{ip, []any{"22/tcp"}})
		}
	}
	if r.err = h.sleepAs(ctx, m, body(m.Name(), m.MAC(), monitor...)); r.err != nil {
		return r
	}
	if d.warm {
		// What it sends before it has heard of the claim goes to the machine.
		if r.err = follows(ctx, client, to.Addr(), h.lan.Porter().MAC()); r.err != nil {
			return r
		}
	}
	atMachine, err := h.lan.CapturePort(ctx, m.Host)
	if err != nil {
		r.err = err
		return r
	}
	defer atMachine.Close()
	c, err := callOnce(ctx, client, to)
	if err != nil {
		r.err = fmt.Errorf("%w; %s", err, story(m, to, atMachine))
		return r
	}
	defer c.conn.Close()
	h.judge(ctx, &r, c, m, atClient, atMachine)
	return r
}

// story tells what happened to a machine that a client did not reach.
func story(m *lab.Machine, to netip.AddrPort, atMachine *lab.Capture) string {
	var lines []string
	for _, e := range m.Log() {
		if e.Kind != lab.MagicPacket {
			lines = append(lines, fmt.Sprintf("%s %s %s", e.Time.Format("15:04:05.000"), e.Kind, e.Detail))
		}
	}
	for _, f := range atMachine.Frames() {
		var p lan.Packet
		if p.Parse(f.Data) == lan.Accepted && p.Kind == lan.TCP && (p.To == to.Addr() || p.From == to.Addr()) {
			lines = append(lines, fmt.Sprintf("%s %v > %v TCP %v > %v flags %#x", f.Time.Format("15:04:05.000"), f.Src(), f.Dst(),
				netip.AddrPortFrom(p.From, p.FromPort), netip.AddrPortFrom(p.To, p.ToPort), p.Flags))
		}
	}
	slices.Sort(lines)
	return fmt.Sprintf("the machine is %s:\n%s", m.State(), strings.Join(lines, "\n"))
}

// judge reads from the logs and the captures how a call was served.
func (h *house) judge(ctx context.Context, r *result, c *call, m *lab.Machine, atClient, atMachine *lab.Capture) {
	odd := func(format string, args ...any) { r.odd = append(r.odd, fmt.Sprintf(format, args...)) }
	if want := lab.Banner(m.Name()); c.banner != want {
		odd("the service said %q, want %q", c.banner, want)
	}
	r.up = lastUp(m, c.to)
	r.after = c.ended.Sub(r.up)
	s, err := h.howServed(ctx, c, atClient, atMachine)
	if err != nil {
		odd("%v", err)
		return
	}
	r.syns, r.sent = len(s.got), s.sent
	first := s.sent[0].Time
	r.near = apart(r.up.Sub(first)) < tooNear
	for _, f := range s.sent[1:] {
		at := f.Time.Sub(first)
		if apart(at) > 100*time.Millisecond {
			odd("the client's kernel repeated its SYN after %v, which the draw did not reckon with", at)
		}
		r.near = r.near || f.Time.Sub(r.up).Abs() < tooNear
	}
	err = s.replayed(h.lan.Porter())
	r.mine = err == nil
	if err != nil && !r.near {
		odd("%v", err)
	}
}

// latencies returns the median and the worst time from ready to connected.
func latencies(results []result) (median, worst time.Duration) {
	var all []time.Duration
	for _, r := range results {
		if r.err == nil {
			all = append(all, r.after)
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2].Round(10 * time.Microsecond), all[len(all)-1].Round(10 * time.Microsecond)
}

// summary tells the results in one line.
func summary(results []result) string {
	succeeded, replayed := 0, 0
	syns := make(map[int]int)
	for _, r := range results {
		if r.err != nil {
			continue
		}
		succeeded++
		syns[r.syns]++
		if r.mine {
			replayed++
		}
	}
	var counts []string
	for _, n := range slices.Sorted(maps.Keys(syns)) {
		counts = append(counts, fmt.Sprintf("%d of %d", n, syns[n]))
	}
	median, worst := latencies(results)
	return fmt.Sprintf("%d of %d first connections succeeded, %d by the replay, %v after the service was ready (median), %v (worst); SYNs that a machine got: %s",
		succeeded, len(results), replayed, median, worst, strings.Join(counts, ", "))
}
