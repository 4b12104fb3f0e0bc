package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
)

// result is what became of one client of a draw.
type result struct {
	draw
	who        string        // "first" or "second"
	err        error         // its first connection failed
	deviations []string      // other deviations
	after      time.Duration // from ready to connected
	wait       time.Duration // from the machine's network to the service
	syns       int           // received by the machine
	came       time.Time     // when it called connect()
	sent       []lab.Frame   // its SYNs
	up         time.Time     // when the service came up
	near       bool          // it came up close to a retransmission
	replayed   bool          // served by the porter's replay
}

// pause returns how long the porter waits between two probes of a service after this wait, or
// of a machine that it has neither woken before nor heard.
func (r result) pause() time.Duration {
	pause := min(r.wait/800, 250*time.Millisecond)
	if r.mute() {
		pause = max(pause, 20*time.Millisecond)
	}
	return pause
}

// addDrawn adds the machine of a draw, the nth on its LAN.
func addDrawn(h *harness, d draw, n int) *lab.Machine {
	h.Helper()
	cfg := lab.MachineConfig{
		Name: fmt.Sprintf("m%d", d.n), Boot: d.boot, Announce: d.announce,
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 22, Delay: d.delay}},
	}
	if !d.six || d.both {
		cfg.Addrs = append(cfg.Addrs, netip.MustParsePrefix(fmt.Sprintf("10.77.0.%d/24", 50+n)))
	}
	if d.six || d.both {
		cfg.Addrs = append(cfg.Addrs, netip.MustParsePrefix(fmt.Sprintf("fd77::%d/64", 50+n)))
	}
	m, err := h.lan.AddMachine(cfg)
	h.must(err)
	return m
}

// connectFirst puts m to sleep and connects to it, also from a second client.
func connectFirst(h *harness, d draw, m *lab.Machine, clients drawClients) []result {
	ctx, cancel := context.WithTimeout(h.ctx, 4*time.Minute)
	defer cancel()
	to := netip.AddrPortFrom(m.Addr4(), 22)
	if d.six {
		to = netip.AddrPortFrom(m.Addr6(), 22)
	}
	first := clients.pick(d.n, d.hardened, nil)
	second := clients.pick(d.n/2, d.strict, first)
	one := result{draw: d, who: "first"}
	if one.err = retire(ctx, h, d, m, first, to.Addr()); one.err != nil {
		return []result{one}
	}
	atMachine, err := h.lan.CapturePort(ctx, m.Host)
	if err != nil {
		one.err = err
		return []result{one}
	}
	defer atMachine.Close()

	m.Deafen(d.deaf)
	if d.checked {
		checks, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			time.Sleep(50 * time.Millisecond) // the client is the first
			pollService(checks, clients.checker, to.Addr())
		}()
	}
	others := make(chan result, 1)
	if d.second > 0 {
		go func() {
			time.Sleep(d.second)
			others <- connectAndJudge(ctx, h, result{draw: d, who: "second"}, m, second, to, clients.captures[second], atMachine)
		}()
	}
	all := []result{connectAndJudge(ctx, h, one, m, first, to, clients.captures[first], atMachine)}
	if d.second > 0 {
		all = append(all, <-others)
	}
	return all
}

// retire lets m sleep until it is claimed, with the draw's neighbor entry at the client.
func retire(ctx context.Context, h *harness, d draw, m *lab.Machine, client *lab.Host, ip netip.Addr) error {
	if d.warm && !d.hardened {
		if err := client.WarmNeighbor(ctx, ip); err != nil {
			return err
		}
	}
	var monitor []monitored
	for _, ip := range []netip.Addr{m.Addr4(), m.Addr6()} {
		if ip.IsValid() {
			monitor = append(monitor, monitored{ip, []any{"22/tcp"}})
		}
	}
	if err := sleepRegisteredAs(ctx, h, m, registration(m.Name(), m.MAC(), monitor...)); err != nil || !d.warm {
		return err
	}
	if d.hardened { // it ignores the announcement, and takes an answer
		if err := client.WarmNeighbor(ctx, ip); err != nil {
			return err
		}
	}
	// Packets that it sends before it has heard of the claim go to the machine.
	return waitNeighborAt(ctx, client, ip, h.lan.Porter().MAC())
}

// connectAndJudge makes the connection of one client.
func connectAndJudge(ctx context.Context, h *harness, r result, m *lab.Machine, client *lab.Host, to netip.AddrPort, atClient, atMachine *lab.Capture) result {
	c, err := callOnce(ctx, client, to)
	if err != nil {
		r.err = fmt.Errorf("%w; %s; the porter: %v", err, describeFailure(m, to, atClient, atMachine), h.transitions(0, m.Name()))
		return r
	}
	defer c.conn.Close()
	judge(ctx, h, &r, c, m, atClient, atMachine)
	return r
}

// describeFailure describes what happened to a machine that a client did not reach, and the
// neighbor frames that the client got.
func describeFailure(m *lab.Machine, to netip.AddrPort, atClient, atMachine *lab.Capture) string {
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
	return fmt.Sprintf("the machine is %s:\n%s\nthe client's port of the switch:\n%s", m.State(),
		strings.Join(lines[max(0, len(lines)-40):], "\n"), strings.Join(neighborFrames(to.Addr(), atClient), "\n"))
}

// neighborFrames returns the captured frames of ARP, neighbor discovery and TCP about an
// address.
func neighborFrames(ip netip.Addr, c *lab.Capture) (lines []string) {
	for _, f := range c.Frames() {
		var p lan.Packet
		if v := p.Parse(f.Data); v == lan.Accepted && (p.To == ip || p.From == ip) || bytes.Contains(f.Payload(), ip.AsSlice()) {
			lines = append(lines, fmt.Sprintf("%s outgoing=%v kind=%v from=%v to=%v %v", f.Time.Format("15:04:05.000000"), f.Outgoing, p.Kind, p.From, p.To, f))
		}
	}
	return lines[max(0, len(lines)-60):]
}

// sentAt returns when each frame was sent, counted from a moment.
func sentAt(sent []lab.Frame, since time.Time) (all []time.Duration) {
	for _, f := range sent {
		all = append(all, f.Time.Sub(since).Round(time.Millisecond))
	}
	return all
}

// judge finds in the logs and captures how a call was served.
func judge(ctx context.Context, h *harness, r *result, c *call, m *lab.Machine, atClient, atMachine *lab.Capture) {
	odd := func(format string, args ...any) { r.deviations = append(r.deviations, fmt.Sprintf(format, args...)) }
	if want := lab.Banner(m.Name()); c.banner != want {
		odd("the service said %q, want %q", c.banner, want)
	}
	r.up = lastUp(m, c.to)
	r.after, r.wait = c.ended.Sub(r.up), r.delay
	s, err := readServed(ctx, h, c, atClient, atMachine)
	if err != nil {
		odd("%v", err)
		return
	}
	r.syns, r.sent, r.came = len(s.got), s.sent, c.began
	// The first SYN may wait for the answer to an ARP request, and the others not. Or connect()
	// itself is late, and so are all of them.
	first := s.sent[0].Time
	r.near = r.up.Before(c.began) || min(distanceToRetransmission(r.up.Sub(c.began)), distanceToRetransmission(r.up.Sub(first))) < tooNear
	unknown := false
	for _, f := range s.sent[1:] {
		unknown = unknown || min(distanceToRetransmission(f.Time.Sub(c.began)), distanceToRetransmission(f.Time.Sub(first))) > 100*time.Millisecond
		r.near = r.near || f.Time.Sub(r.up).Abs() < tooNear
	}
	if unknown {
		odd("the client's kernel sent its SYNs at %v, which the draw did not reckon with", sentAt(s.sent, c.began))
	}
	err = s.replayed(h.lan.Porter())
	r.replayed = err == nil
	if err != nil && !r.near {
		odd("%v; it sent SYNs at %v, and its service was up at %v", err, sentAt(s.sent, c.began), r.up.Sub(c.began))
	}
}
