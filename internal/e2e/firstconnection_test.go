package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightporter/internal/lab"
)

// wholeProof is the least number of connections for a proof; fewer are a sample. The figures
// are asserted in a proof only, which needs an idle computer: `make connections`.
const wholeProof = 100

// The longest times of a first connection after its service is ready, beside the pause between
// two probes, which grows with the wait.
const (
	medianReady = 5 * time.Millisecond
	mostReady   = 25 * time.Millisecond // of 99 in 100
)

const (
	// onLAN is the largest number of machines on a LAN. All namespaces share the kernel's
	// neighbor table, which forgets entries when it is half full
	// (net.ipv6.neigh.default.gc_thresh2). A closed LAN frees its part.
	onLAN = 12
	// pace is the pause between two knocks on a LAN, so that services do not start together.
	pace = 300 * time.Millisecond
	// kindsOfHost is the number of clients of each kind on a LAN.
	kindsOfHost = 2
)

// TestFirstConnections: the first client that connects to a sleeping machine is served with one
// connect(), as soon as the service is ready and by the held SYN, for each kind of machine,
// client and mode. So is a second client at any time. The settings are the defaults.
func TestFirstConnections(t *testing.T) {
	t.Parallel()
	if *connections < 2 || *connections > 10000 {
		t.Fatalf("-connections %d: want 2 to 10000", *connections)
	}
	longest := longestReady
	if *connections < wholeProof {
		longest = sampleReady
	}
	results := make([][]result, len(modes))
	began := time.Now()
	t.Run("modes", func(t *testing.T) {
		for i, mode := range modes {
			t.Run(mode.name, func(t *testing.T) {
				t.Parallel()
				draws := drawConnections(*seed+uint64(i), *connections/len(modes), longest)
				// Draws of similar length share a LAN, so that short ones do not wait for long
				// ones.
				slices.SortFunc(draws, func(a, b draw) int { return cmp.Compare(b.ready(), a.ready()) })
				for batch := range slices.Chunk(draws, onLAN) {
					t.Run(fmt.Sprintf("%v and less", batch[0].ready()), func(t *testing.T) {
						ctx, network := newLANFor(t, 5*time.Minute)
						results[i] = append(results[i], connectAll(openOn(ctx, t, network, mode.conf), batch)...)
					})
				}
			})
		}
	})
	all := slices.Concat(results...)
	for _, who := range []string{"first", "second"} {
		t.Logf("%s clients: %s; seed %d, %.0f s", who, summary(resultsOf(all, who)), *seed, time.Since(began).Seconds())
	}
	if *connections >= wholeProof {
		wantInTime(t, all)
	}
}

// wantInTime asserts the figures.
func wantInTime(t *testing.T, all []result) {
	for _, who := range []string{"first", "second"} {
		late := sorted(resultsOf(all, who), func(r result) time.Duration { return r.after - r.pause() })
		if median, most := share(late, 0.5), share(late, 0.99); median > medianReady || most > mostReady {
			t.Errorf("%s clients were connected %v after the service was ready (median), %v (99 in 100), want at most %v and %v",
				who, median, most, medianReady, mostReady)
		}
	}
}

// drawClients are the hosts that connect.
type drawClients struct {
	hosts    map[bool][]*lab.Host // by whether they ignore announcements
	captures map[*lab.Host]*lab.Capture
	checker  *lab.Host
}

// addDrawClients adds the clients to a LAN.
func addDrawClients(h *harness) drawClients {
	h.Helper()
	c := drawClients{hosts: make(map[bool][]*lab.Host), captures: make(map[*lab.Host]*lab.Capture), checker: h.addClient("checker", 30)}
	for i := range kindsOfHost {
		c.hosts[false] = append(c.hosts[false], h.addClient(fmt.Sprint("client", i), 10+i+1))
		c.hosts[true] = append(c.hosts[true], h.addHardenedClient(fmt.Sprint("hardened", i), 20+i))
	}
	for _, hosts := range c.hosts {
		for _, host := range hosts {
			c.captures[host] = h.capturePort(host)
		}
	}
	return c
}

// pick returns a client other than the given one.
func (c drawClients) pick(n int, hardened bool, other *lab.Host) *lab.Host {
	hosts := c.hosts[hardened]
	if hosts[n%len(hosts)] == other {
		n++
	}
	return hosts[n%len(hosts)]
}

// resolveRouterOften lets each client resolve the router every 30 s.
func resolveRouterOften(ctx context.Context, h *harness, c drawClients) error {
	for again := time.NewTicker(30 * time.Second); ; {
		for host := range c.captures {
			if err := resolveRouter(h.ctx, h, host); err != nil {
				return err
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// connectAll makes all connections, and reports each deviation.
func connectAll(h *harness, draws []draw) (all []result) {
	h.Helper()
	machines := make([]*lab.Machine, len(draws))
	for i, d := range draws {
		machines[i] = addDrawn(h, d, i)
	}
	clients := addDrawClients(h)
	ctx, cancel := context.WithCancel(h.ctx)
	var talk errgroup.Group
	talk.Go(func() error { return resolveRouterOften(ctx, h, clients) })
	defer func() { cancel(); h.must(talk.Wait()) }()

	results := make([][]result, len(draws))
	var work errgroup.Group
	for i, d := range draws {
		work.Go(func() error {
			time.Sleep(time.Duration(i) * pace)
			results[i] = connectFirst(h, d, machines[i], clients)
			return nil
		})
	}
	_ = work.Wait() // a failed connection is a result
	all = slices.Concat(results...)
	reportOdd(h, all)
	return all
}

func reportOdd(h *harness, all []result) {
	h.Helper()
	near := 0
	for _, r := range all {
		if r.err != nil {
			h.Errorf("%v: the %s client: %v", r.draw, r.who, r.err)
		}
		for _, what := range r.deviations {
			h.Errorf("%v: the %s client: %s", r.draw, r.who, what)
		}
		if r.near {
			h.Logf("%v: the service came up %v after the connect() with %d SYNs of the %s client, too near to a retransmission",
				r.draw, r.up.Sub(r.came), len(r.sent), r.who)
			near++
		}
	}
	// A busy computer may delay some; on an idle one the draw is at fault.
	if *connections >= wholeProof && near > len(all)/50 || near > len(all)/4 {
		h.Errorf("%d of %d connections prove nothing", near, len(all))
	}
}

// resultsOf returns the results of the first clients, or of the second.
func resultsOf(all []result, who string) (some []result) {
	for _, r := range all {
		if r.who == who {
			some = append(some, r)
		}
	}
	return some
}

// sorted returns the sorted figures of the connections that succeeded.
func sorted(results []result, figure func(result) time.Duration) (all []time.Duration) {
	for _, r := range results {
		if r.err == nil {
			all = append(all, figure(r).Round(10*time.Microsecond))
		}
	}
	slices.Sort(all)
	return all
}

// share returns the value that the given share of sorted figures does not exceed.
func share(figures []time.Duration, part float64) time.Duration {
	if len(figures) == 0 {
		return 0
	}
	return figures[min(int(part*float64(len(figures))), len(figures)-1)]
}

// summary describes the results in one line.
func summary(results []result) string {
	succeeded, replayed := 0, 0
	syns := make(map[int]int)
	for _, r := range results {
		if r.err != nil {
			continue
		}
		succeeded++
		syns[r.syns]++
		if r.replayed {
			replayed++
		}
	}
	var counts []string
	for _, n := range slices.Sorted(maps.Keys(syns)) {
		counts = append(counts, fmt.Sprintf("%d of %d", n, syns[n]))
	}
	late := sorted(results, func(r result) time.Duration { return r.after })
	return fmt.Sprintf("%d of %d succeeded, %d by the replay; connected %v after the service was ready (median), %v (99 in 100), %v (worst); SYNs that a machine got: %s",
		succeeded, len(results), replayed, share(late, 0.5), share(late, 0.99), share(late, 1), strings.Join(counts, ", "))
}
