package lab_test

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
)

// captureOf records what a host hears.
func captureOf(t *testing.T, h *lab.Host) *lab.Capture {
	t.Helper()
	c, err := h.Capture(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestForger: each frame is what it says, as a parser of another house reads it,
// and comes with the MAC of the machine that did not send it.
func TestForger(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	m := addMachine(t, l, nas6())
	putToSleep(t, m)
	client := l.Client()
	capture, forger := captureOf(t, client), l.Porter().Forge(m.MAC())
	ip4, ip6, none4, none6 := m.Addr4(), m.Addr6(), netip.IPv4Unspecified(), netip.IPv6Unspecified()
	client4, client6 := netip.AddrPortFrom(client.Addr4(), 9999), netip.AddrPortFrom(client.Addr6(), 9999)
	for _, c := range []struct {
		name string
		send func() error
		want func(p *lan.Packet) bool
	}{
		{"ARP request", func() error { return forger.ARPRequest(ip4, client4.Addr()) }, func(p *lan.Packet) bool {
			return p.Kind == lan.ARPRequest && p.From == ip4 && p.To == client4.Addr() && p.SenderMAC == m.MAC()
		}},
		{"ARP reply", func() error { return forger.ARPReply(ip4) }, func(p *lan.Packet) bool {
			return p.Kind == lan.ARPReply && p.From == ip4 && p.SenderMAC == m.MAC()
		}},
		{"ARP probe", func() error { return forger.ARPProbe(ip4) }, func(p *lan.Packet) bool {
			return p.Kind == lan.ARPRequest && p.From == none4 && p.To == ip4
		}},
		{"solicitation", func() error { return forger.Solicit(ip6, client6.Addr()) }, func(p *lan.Packet) bool {
			return p.Kind == lan.NeighborSolicitation && p.From == ip6 && p.Target == client6.Addr()
		}},
		{"test of an address", func() error { return forger.TestAddress(ip6) }, func(p *lan.Packet) bool {
			return p.Kind == lan.NeighborSolicitation && p.From == none6 && p.Target == ip6
		}},
		{"advertisement", func() error { return forger.Advertise(ip6) }, func(p *lan.Packet) bool {
			return p.Kind == lan.NeighborAdvertisement && p.Target == ip6 && p.SenderMAC == m.MAC()
		}},
	} {
		if err := c.send(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		_, err := capture.Wait(testContext(t), func(f lab.Frame) bool {
			var p lan.Packet
			return f.Src() == m.MAC() && p.Parse(f.Data) == lan.Accepted && c.want(&p)
		})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// The kernel takes the datagrams: their checksums are in order.
	for _, ends := range [][2]netip.AddrPort{{netip.AddrPortFrom(ip4, 5), client4}, {netip.AddrPortFrom(ip6, 5), client6}} {
		socket, err := client.ListenPacket(testContext(t), "udp", ends[1].String())
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		if err := forger.Datagram(client.MAC(), ends[0], ends[1], []byte("forged")); err != nil {
			t.Fatal(err)
		}
		if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 16)
		n, from, err := socket.ReadFrom(buf)
		if err != nil || string(buf[:n]) != "forged" || from.String() != ends[0].String() {
			t.Errorf("from %v: %q, %v", from, buf[:n], err)
		}
	}
	if err := forger.Datagram(client.MAC(), netip.AddrPortFrom(ip4, 5), client6, nil); err == nil {
		t.Error("a datagram from IPv4 to IPv6 was sent")
	}
}

// TestMutter: the switch passes on what a sleeping card says, at its pace; an
// awake machine has none of it.
func TestMutter(t *testing.T) {
	t.Parallel()
	const pace = 30 * time.Millisecond
	for _, what := range []lab.Mutter{lab.LLDP(pace), lab.EAPOL(pace)} {
		l := newLAN(t)
		cfg := nas()
		cfg.Mutter = what
		m := addMachine(t, l, cfg)
		capture := captureOf(t, l.Porter())
		putToSleep(t, m)
		slept := time.Now()
		var heard []time.Time
		_, err := capture.Wait(testContext(t), func(f lab.Frame) bool {
			if f.Src() == m.MAC() && f.EtherType() == what.Type && f.Dst() == what.Dst {
				heard = append(heard, f.Time)
			}
			return len(heard) == 5
		})
		if err != nil {
			t.Fatal(err)
		}
		if heard[0].Before(slept.Add(-pace)) || heard[4].Sub(heard[0]) < 3*pace {
			t.Errorf("type %#x: asleep at %v, said at %v", what.Type, slept, heard)
		}
	}
}
