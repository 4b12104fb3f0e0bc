package lan_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

var (
	clientAddrs = []netip.Addr{client4, clientGlobal6}
	sleepyAddrs = []netip.Addr{sleepy4, sleepy6}
)

// relay is a porter between a client and a machine, who reach one another only
// by frames that are forwarded.
type relay struct {
	client, machine *namespace
	cut             atomic.Int64 // packets that were larger than the MTU
}

func newRelay(tb testing.TB) *relay {
	porter, client := neighbors(tb)
	r := &relay{client: client, machine: newNamespace(tb)}
	cable(porter, "porter1", ether.MAC{2, 0, 0, 0, 1, 1}, r.machine, "sleepy0", sleepyMAC)
	porter.setUp("porter1", true)
	r.machine.setUp("sleepy0", true)
	porter.address("porter1", "192.168.8.1/24", 0)
	porter.address("porter1", "fe80::11/64", noDAD)
	porter.address("porter1", "2001:db8:1::1/64", noDAD)
	r.machine.address("sleepy0", "192.168.7.3/24", 0)
	r.machine.address("sleepy0", "fe80::3/64", noDAD)
	r.machine.address("sleepy0", "2001:db8::a1b:2c3d/64", noDAD)
	porter.ready("porter1")
	r.machine.ready("sleepy0")
	in, out := porter.open("porter0"), porter.open("porter1")
	r.pass(tb, in, out, sleepyMAC, sleepyAddrs)
	r.pass(tb, out, in, clientMAC, clientAddrs)
	return r
}

// pass answers on in for the addresses of the host dst, and forwards what comes
// for them. What is too large for it is left to the sender's next attempt.
func (r *relay) pass(tb testing.TB, in, out *lan.Interface, dst ether.MAC, addrs []netip.Addr) {
	tb.Helper()
	if err := in.SetInterest(lan.Interest{Addrs: addrs}); err != nil {
		tb.Fatal(err)
	}
	run(tb, in, func(p *lan.Packet) {
		var err error
		switch {
		case p.Kind == lan.ARPRequest && slices.Contains(addrs, p.To),
			p.Kind == lan.NeighborSolicitation && slices.Contains(addrs, p.Target):
			var frame []byte
			frame, err = lan.AnswerTo(p, in.MAC(), in.MAC())
			err = errors.Join(err, in.Send(frame))
		case p.Network != 0 && p.Kind != lan.NeighborAdvertisement && slices.Contains(addrs, p.To):
			if len(p.Frame)-p.Network > out.MTU() {
				r.cut.Add(1)
			}
			err = lan.Forward(p, out.MAC(), dst, out.MTU(), out.Send)
		}
		if err != nil {
			tb.Errorf("%v for %v: %v", p.Kind, p.To, err)
		}
	})
}

// TestKernelTakesForwardedSegments sends much on one connection in each
// direction: the kernels leave it to the virtual cable to cut it, which does not.
func TestKernelTakesForwardedSegments(t *testing.T) {
	r := newRelay(t)
	text := make([]byte, 400<<10)
	for i := range text {
		text[i] = byte(i * i >> 8)
	}
	for n, ip := range sleepyAddrs {
		t.Run(ip.String(), func(t *testing.T) {
			before := r.cut.Load()
			listener := r.machine.listen(ip)
			to := netip.AddrPortFrom(ip, portOf(listener.Addr()))
			served := make(chan error, 1)
			go func() { served <- echoOnce(listener) }()
			conn := r.client.dial(to)
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if from := netip.MustParseAddrPort(conn.LocalAddr().String()).Addr(); from != clientAddrs[n] {
				t.Fatalf("the client speaks from %v, want %v", from, clientAddrs[n])
			}
			written := make(chan error, 1)
			go func() {
				_, err := conn.Write(text)
				written <- errors.Join(err, conn.CloseWrite())
			}()
			got, err := io.ReadAll(conn)
			if err := errors.Join(err, receive(t, "the end of writing", written), receive(t, "the end of the service", served)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, text) {
				t.Errorf("%d octets came back, want the %d that were sent", len(got), len(text))
			}
			if cut := r.cut.Load() - before; cut < 5 {
				t.Errorf("%d packets were larger than the MTU: the test shows nothing about them", cut)
			}
		})
	}
}

// dial connects from within the namespace.
func (n *namespace) dial(to netip.AddrPort) *net.TCPConn {
	n.tb.Helper()
	var conn *net.TCPConn
	n.do(func() error {
		dialer := net.Dialer{Timeout: patience}
		c, err := dialer.Dial("tcp", to.String())
		if err != nil {
			return err
		}
		conn = c.(*net.TCPConn)
		return nil
	})
	return conn
}

// echoOnce takes one connection, and sends back what came once all is there, so
// that the answer goes in large segments too.
func echoOnce(l *net.TCPListener) error {
	if err := l.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	conn, err := l.AcceptTCP()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	text, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	_, err = conn.Write(text)
	return err
}

func TestKernelTakesForwardedDatagrams(t *testing.T) {
	r := newRelay(t)
	for _, ip := range sleepyAddrs {
		t.Run(ip.String(), func(t *testing.T) {
			service := r.machine.listenUDP(ip)
			to := netip.AddrPortFrom(ip, portOf(service.LocalAddr()))
			var conn *net.UDPConn
			r.client.do(func() (err error) {
				conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
				return err
			})
			defer conn.Close()
			deadline := time.Now().Add(patience)
			if err := errors.Join(conn.SetDeadline(deadline), service.SetDeadline(deadline)); err != nil {
				t.Fatal(err)
			}
			buffer := make([]byte, 9000)
			// The largest are cut by IP, into fragments, and put together again.
			for _, size := range []int{0, 1, 17, 1400, 1452, 1472, 1473, 5000} {
				sent := bytes.Repeat([]byte{byte(size)}, size)
				if _, err := conn.Write(sent); err != nil {
					t.Fatal(err)
				}
				n, source, err := service.ReadFromUDPAddrPort(buffer)
				if err != nil {
					t.Fatalf("%d octets did not arrive: %v", size, err)
				}
				if !bytes.Equal(buffer[:n], sent) || source.Port() != portOf(conn.LocalAddr()) {
					t.Errorf("%d octets from %v, want %d", n, source, size)
				}
			}
		})
	}
}
