package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
)

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

// attempt is a connection that is opened in the background.
type attempt struct {
	cancel context.CancelFunc
	done   chan error
}

// startConnecting opens a connection in the background, until the test ends or it is canceled.
func (h *harness) startConnecting(from *lab.Host, ip netip.Addr, port uint16) *attempt {
	ctx, cancel := context.WithCancel(h.ctx)
	a := &attempt{cancel: cancel, done: make(chan error, 1)}
	go func() {
		conn, err := from.Dial(ctx, "tcp", netip.AddrPortFrom(ip, port).String())
		if err == nil {
			conn.Close()
		}
		a.done <- err
	}()
	h.Cleanup(cancel)
	return a
}

// cancelAfter cancels an attempt after d.
func (a *attempt) cancelAfter(d time.Duration) {
	time.Sleep(d)
	a.cancel()
	<-a.done
}

// connect opens a TCP connection from a host and returns the service's first line.
func (h *harness) connect(from *lab.Host, ip netip.Addr, port uint16) string {
	h.Helper()
	c, err := callOnce(h.within(30*time.Second), from, netip.AddrPortFrom(ip, port))
	h.must(err)
	h.must(c.conn.Close())
	return c.banner
}

// wantEcho sends n bytes to an echo service, and compares the answer.
func wantEcho(h *harness, conn net.Conn, n int) {
	h.Helper()
	h.must(conn.SetDeadline(time.Now().Add(5 * time.Second)))
	sent, got := make([]byte, n), make([]byte, n)
	random := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = random.Read(sent) // never fails
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(sent)
		written <- err
	}()
	n, err := io.ReadFull(conn, got)
	if err != nil {
		h.Fatalf("%d bytes came back: %v", n, err)
	}
	h.must(<-written)
	if !bytes.Equal(sent, got) {
		h.Error("what came back is not what was sent")
	}
}

// dialGame opens a socket to the machine's game.
func dialGame(h *harness, from *lab.Host, ip netip.Addr) net.Conn {
	h.Helper()
	conn, err := from.Dial(h.ctx, "udp", netip.AddrPortFrom(ip, 27015).String())
	h.must(err)
	h.Cleanup(func() { conn.Close() })
	return conn
}

// sendDatagrams sends datagrams. An error would be an ICMP message about an earlier one.
func sendDatagrams(h *harness, conn net.Conn, texts ...string) {
	h.Helper()
	for _, text := range texts {
		if _, err := conn.Write([]byte(text)); err != nil {
			h.Errorf("datagram %q: %v", text, err)
		}
	}
}

// datagrams returns the payloads that a machine's game received since its last boot.
func datagrams(m *lab.Machine) (texts []string) {
	for _, e := range m.Log() {
		switch e.Kind {
		case lab.PoweredOn:
			texts = nil
		case lab.Datagram:
			texts = append(texts, e.Detail)
		}
	}
	return texts
}

// waitDatagram waits until a datagram has arrived.
func waitDatagram(h *harness, m *lab.Machine, text string) {
	h.Helper()
	for {
		if e := h.waitEvent(m, lab.Datagram); e.Detail == text {
			return
		}
	}
}

// isDatagram matches a datagram to ip's game on its way into a host.
func isDatagram(ip netip.Addr, text string) func(lab.Frame) bool {
	return func(f lab.Frame) bool {
		var p lan.Packet
		return !f.Outgoing && p.Parse(f.Data) == lan.Accepted && p.Kind == lan.UDP && p.To == ip && bytes.HasSuffix(f.Data, []byte(text))
	}
}

// wantDatagram expects a datagram on a connected socket.
func wantDatagram(h *harness, conn net.Conn, want string) {
	h.Helper()
	h.must(conn.SetReadDeadline(time.Now().Add(20 * time.Second)))
	reply := make([]byte, 100)
	n, err := conn.Read(reply)
	if err != nil || string(reply[:n]) != want {
		h.Errorf("the answer is %q, error %v, want %q", reply[:n], err, want)
	}
}
