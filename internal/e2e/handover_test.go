package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// modes are the ways to claim an address, as configurations.
var modes = []struct{ name, conf string }{
	{"responder", "claim: {mode: responder}\n"},
	{"bind", "claim: {mode: bind}\n"},
}

// call is the result of one connect() of a client's kernel.
type call struct {
	conn     net.Conn
	from, to netip.AddrPort
	began    time.Time // when the client called connect()
	ended    time.Time // when it was connected
	banner   string    // the first line of the service
}

// callOnce opens a connection with a single connect() and reads the service's first line. A
// refusal or an unreachable is an error: the handover must prevent them.
func callOnce(ctx context.Context, from *lab.Host, to netip.AddrPort) (*call, error) {
	began := time.Now()
	conn, err := from.Dial(ctx, "tcp", to.String())
	c := &call{conn: conn, to: to, began: began, ended: time.Now()}
	if err != nil {
		return nil, err
	}
	c.from = addrPort(conn.LocalAddr())
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c.banner, err = bufio.NewReaderSize(conn, 16).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connected, and then no banner: %w", err), conn.Close())
	}
	return c, nil
}

// call is callOnce for a test that ends at an error. It expects to reach m.
func (h *harness) call(from *lab.Host, m *lab.Machine, ip netip.Addr, port uint16) *call {
	h.Helper()
	c, err := callOnce(h.within(30*time.Second), from, netip.AddrPortFrom(ip, port))
	h.must(err)
	h.Cleanup(func() { c.conn.Close() })
	if want := lab.Banner(m.Name()); c.banner != want {
		h.Errorf("the service said %q, want %q", c.banner, want)
	}
	return c
}

// pending is a call in the background.
type pending chan struct {
	*call
	error
}

// callLater starts a call; waitCall waits for it.
func (h *harness) callLater(from *lab.Host, ip netip.Addr, port uint16) pending {
	return h.callFor(30*time.Second, from, ip, port)
}

// callFor is callLater for a client that waits for up to limit.
func (h *harness) callFor(limit time.Duration, from *lab.Host, ip netip.Addr, port uint16) pending {
	p := make(pending, 1)
	ctx := h.within(limit)
	go func() {
		c, err := callOnce(ctx, from, netip.AddrPortFrom(ip, port))
		p <- struct {
			*call
			error
		}{c, err}
	}()
	return p
}

// waitCall waits for a call and expects it to have reached m.
func (h *harness) waitCall(p pending, m *lab.Machine) *call {
	h.Helper()
	got := <-p
	h.must(got.error)
	h.Cleanup(func() { got.conn.Close() })
	if want := lab.Banner(m.Name()); got.banner != want {
		h.Errorf("the service said %q, want %q", got.banner, want)
	}
	return got.call
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := netip.MustParseAddrPort(a.String()) // the address of a socket
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// capturePort records what passes a host's port of the switch.
func (h *harness) capturePort(host *lab.Host) *lab.Capture {
	h.Helper()
	c, err := h.lan.CapturePort(h.ctx, host)
	h.must(err)
	h.Cleanup(func() { c.Close() })
	return c
}

// sleepRegisteredAs registers m with the given text and lets it sleep until it is claimed.
// Several can run at once.
func sleepRegisteredAs(h *harness, ctx context.Context, m *lab.Machine, text string) error {
	n := h.daemon.Log.Len()
	answer, err := h.daemon.RegisterIn(ctx, m.Host, porterAddr(h.lan.Porter(), m), []string{text}, 0)
	if err != nil {
		return err
	}
	if answer != "OK." {
		return fmt.Errorf("registration answered %q", answer)
	}
	if err := m.Sleep(ctx); err != nil {
		return err
	}
	_, err = h.daemon.Log.Wait(ctx, n, asleepNow(m))
	return err
}

// porterAddr returns the porter's address of a family that m has.
func porterAddr(porter *lab.Host, m *lab.Machine) netip.Addr {
	if m.Addr4().IsValid() {
		return porter.Addr4()
	}
	return porter.Addr6()
}

// lastUp returns when a service came up last, or zero.
func lastUp(m *lab.Machine, to netip.AddrPort) (at time.Time) {
	for _, e := range m.Log() {
		if e.Kind == lab.ServiceUp && e.Service.AddrPort() == to && e.Service.Network == "tcp" {
			at = e.Time
		}
	}
	return at
}

// The flags of a TCP segment (RFC 9293 section 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

// isSegment reports whether a frame is a segment of a flow with exactly these flags; PSH and
// later flags are ignored.
func isSegment(f lab.Frame, from, to netip.AddrPort, flags byte) bool {
	var p lan.Packet
	return p.Parse(f.Data) == lan.Accepted && p.Kind == lan.TCP && p.Flags&(flagFIN|flagSYN|flagRST|flagACK) == flags &&
		p.From == from.Addr() && p.FromPort == from.Port() && p.To == to.Addr() && p.ToPort == to.Port()
}

// served is how a machine came to answer a call, according to two captures.
type served struct {
	sent     []lab.Frame   // the SYNs that the client sent
	got      []lab.Frame   // the SYNs that the machine got
	answered lab.Frame     // the SYN that it answered
	sinceOwn time.Duration // from the client's last SYN before that one
}

// readServed finds out how a call was served, from the captures at the client's and at the
// machine's port.
func readServed(h *harness, ctx context.Context, c *call, client, nas *lab.Capture) (s served, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	answer, err := nas.Wait(ctx, func(f lab.Frame) bool { return f.Outgoing && isSegment(f, c.to, c.from, flagSYN|flagACK) })
	if err != nil {
		return s, fmt.Errorf("the machine's SYN-ACK: %w", err)
	}
	// By then the other capture has all SYNs of the client.
	if _, err := client.Wait(ctx, func(f lab.Frame) bool { return f.Outgoing && isSegment(f, c.from, c.to, flagACK) }); err != nil {
		return s, fmt.Errorf("the client's answer to that: %w", err)
	}
	for _, f := range nas.Frames() {
		if !f.Outgoing && isSegment(f, c.from, c.to, flagSYN) {
			s.got = append(s.got, f)
			if !f.Time.After(answer.Time) {
				s.answered = f
			}
		}
	}
	s.sinceOwn = -1
	for _, f := range client.Frames() {
		// If the client is a program of the porter's host, its capture has the replay too.
		replay := f.Src() == h.lan.Porter().MAC() && f.Dst() == s.answered.Dst()
		if f.Outgoing && isSegment(f, c.from, c.to, flagSYN) && !replay {
			s.sent = append(s.sent, f)
			if !f.Time.After(s.answered.Time) {
				s.sinceOwn = s.answered.Time.Sub(f.Time)
			}
		}
	}
	if len(s.got) == 0 || len(s.sent) == 0 {
		return s, fmt.Errorf("the captures have %d SYNs of the client and %d at the machine, want both", len(s.sent), len(s.got))
	}
	return s, nil
}

// replayed returns an error unless the machine answered a SYN that the porter had held: the SYN
// came in a frame of the porter, is the last of the client, and was sent at least 50 ms before.
// A younger SYN might only have been forwarded.
func (s served) replayed(porter *lab.Host) error {
	if by := s.answered.Src(); by != porter.MAC() {
		return fmt.Errorf("the machine answered a SYN from %v, want the porter's %v", by, porter.MAC())
	}
	if s.sinceOwn < 50*time.Millisecond {
		return fmt.Errorf("the machine answered a SYN that the client had sent %v before: passed on, not replayed", s.sinceOwn)
	}
	// A repeated SYN has a new timestamp (RFC 7323 section 3).
	if last := s.sent[len(s.sent)-1]; !bytes.Equal(segmentOf(last), segmentOf(s.answered)) {
		return fmt.Errorf("the machine answered the SYN %x, and the client's last is %x", segmentOf(s.answered), segmentOf(last))
	}
	return nil
}

// segmentOf returns a frame's TCP segment without its checksum, which a kernel may leave to its
// network card.
func segmentOf(f lab.Frame) []byte {
	var p lan.Packet
	if p.Parse(f.Data) != lan.Accepted || p.Kind != lan.TCP {
		return nil
	}
	segment := bytes.Clone(f.Data[p.Transport:])
	segment[16], segment[17] = 0, 0
	return segment
}

// asleepNow matches the log line of m's claim.
func asleepNow(m *lab.Machine) func(labdaemon.Entry) bool {
	return labdaemon.Moved(m.Name(), "settling", "asleep", string(machine.WhySilent))
}
