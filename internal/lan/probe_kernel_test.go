package lan_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/waittest"
)

var (
	clientGlobal6 = netip.MustParseAddr("2001:db8::2")
	porterGlobal6 = netip.MustParseAddr("2001:db8::1")
)

// listen opens a port of the namespace until the test ends.
func (n *namespace) listen(ip netip.Addr) *net.TCPListener {
	n.tb.Helper()
	var l *net.TCPListener
	n.do(func() (err error) {
		l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
		return err
	})
	n.tb.Cleanup(func() { _ = l.Close() }) // some tests close it themselves
	return l
}

func (n *namespace) listenUDP(ip netip.Addr) *net.UDPConn {
	n.tb.Helper()
	var c *net.UDPConn
	n.do(func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
		return err
	})
	n.tb.Cleanup(func() { _ = c.Close() })
	return c
}

func portOf(a net.Addr) uint16 { return netip.MustParseAddrPort(a.String()).Port() }

// halfOpen counts the connections in the state SYN-RECEIVED (3 in the kernel's
// table) of a namespace.
func (n *namespace) halfOpen() int {
	n.tb.Helper()
	count := 0
	n.do(func() error {
		for _, table := range []string{"tcp", "tcp6"} {
			// Of this thread, which is in the namespace; the process is not.
			text, err := os.ReadFile("/proc/thread-self/net/" + table)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(text)) {
				if fields := strings.Fields(line); len(fields) > 3 && fields[3] == "03" {
					count++
				}
			}
		}
		return nil
	})
	return count
}

// TestKernelTakesProbes asks services of a real kernel. The probes come from
// addresses that no kernel has, so only the test can answer for them.
func TestKernelTakesProbes(t *testing.T) {
	porter, client := neighbors(t)
	i := porter.open("porter0")
	if err := i.SetInterest(lan.Interest{MACs: []ether.MAC{clientMAC}}); err != nil {
		t.Fatal(err)
	}
	answers := make(chan lan.Packet, 100)
	run(t, i, func(p *lan.Packet) {
		switch {
		case p.Kind == lan.ARPRequest && p.To == sleepy4, p.Kind == lan.NeighborSolicitation && p.Target == sleepy6:
			frame, err := lan.AnswerTo(p, porterMAC, porterMAC)
			if err := errors.Join(err, i.Send(frame)); err != nil {
				t.Error(err)
			}
		case p.To == sleepy4 || p.To == sleepy6:
			answers <- *p
		}
	})
	for _, c := range []struct{ from, to netip.Addr }{{sleepy4, client4}, {sleepy6, clientGlobal6}} {
		t.Run(c.to.String(), func(t *testing.T) {
			from := netip.AddrPortFrom(c.from, 61000)
			ask := func(frame []byte, err error) lan.Packet {
				t.Helper()
				if err := errors.Join(err, i.Send(frame)); err != nil {
					t.Fatal(err)
				}
				return receive(t, "an answer", answers)
			}
			listener := client.listen(c.to)
			open := netip.AddrPortFrom(c.to, portOf(listener.Addr()))

			p := ask(lan.SYNProbe(porterMAC, clientMAC, from, open, 41))
			if !p.SYNACK() || p.Ack != 42 || p.From != c.to || p.FromPort != open.Port() || p.ToPort != 61000 {
				t.Fatalf("got %+v, want a syn-ack", p)
			}
			if n := client.halfOpen(); n != 1 {
				t.Errorf("%d half open connections before the reset, want 1", n)
			}
			reset, err := lan.ResetFor(&p, porterMAC)
			if err := errors.Join(err, i.Send(reset)); err != nil {
				t.Fatal(err)
			}
			waittest.Until(t, "the half open connection is gone", func() bool { return client.halfOpen() == 0 })

			if err := listener.Close(); err != nil {
				t.Fatal(err)
			}
			p = ask(lan.SYNProbe(porterMAC, clientMAC, from, open, 50))
			if p.Kind != lan.TCP || p.Flags != 0x14 || p.Ack != 51 {
				t.Errorf("got %+v, want a reset", p)
			}
		})
	}
}
