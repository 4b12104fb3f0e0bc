package lan_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/lan"
	"nightporter/internal/waittest"
)

// receives waits for a datagram at a port of the namespace ("udp4" or "udp6"), and
// returns it.
func (n *namespace) receives(network string, port int, send func()) (got []byte, from netip.AddrPort) {
	n.tb.Helper()
	var conn *net.UDPConn
	n.do(func() (err error) {
		conn, err = net.ListenUDP(network, &net.UDPAddr{Port: port})
		return err
	})
	defer conn.Close()
	send()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		n.tb.Fatal(err)
	}
	b := make([]byte, 1500)
	size, from, err := conn.ReadFromUDPAddrPort(b)
	if err != nil {
		n.tb.Fatal(err)
	}
	return b[:size], from
}

// A datagram gets to one neighbor and to all, by the kernel's routes.
func TestSendDatagram(t *testing.T) {
	porter, client := neighbors(t)
	magic := lan.MagicPacket(sleepyMAC, []byte{1, 2, 3, 4})
	for to, from := range map[string]string{"192.168.7.2": "192.168.7.1", "192.168.7.255": "192.168.7.1", "2001:db8::2": "2001:db8::1"} {
		ip, network := netip.MustParseAddr(to), "udp4"
		if ip.Is6() {
			network = "udp6"
		}
		got, source := client.receives(network, 4009, func() {
			porter.do(func() error { return lan.SendDatagram(netip.AddrPortFrom(ip, 4009), magic) })
		})
		if !bytes.Equal(got, magic) || source.Addr().Unmap().String() != from {
			t.Errorf("to %s: %d octets from %v, want from %s", to, len(got), source, from)
		}
	}
	porter.do(func() error {
		if err := lan.SendDatagram(netip.MustParseAddrPort("198.51.100.1:9"), magic); !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("without a route: %v", err)
		}
		return nil
	})
}

// A Sender needs an interface that is up, and no address.
func TestSender(t *testing.T) {
	porter, client := newNamespace(t), newNamespace(t)
	cable(porter, "porter0", porterMAC, client, "client0", clientMAC)
	refused := func(name, want string) {
		t.Helper()
		porter.do(func() error {
			if s, err := lan.OpenSender(name); err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
				t.Errorf("%s: %v, %v, want %q", name, s, err, want)
			}
			return nil
		})
	}
	refused("porter0", "is down")
	refused("nothing0", "no such interface")
	refused("lo", "is not Ethernet")
	porter.setUp("porter0", true)
	client.setUp("client0", true)
	client.address("client0", "192.168.7.2/24", 0)
	waittest.Until(t, "running", func() bool { return porter.running("porter0") && client.running("client0") })
	var s *lan.Sender
	open := func() {
		t.Helper()
		porter.do(func() (err error) {
			s, err = lan.OpenSender("porter0")
			return err
		})
	}
	open()
	if s.MAC() != porterMAC || s.Source() != netip.IPv4Unspecified() {
		t.Errorf("it sends from %v, %v", s.MAC(), s.Source())
	}
	magic := lan.MagicPacket(sleepyMAC, nil)
	got, _ := client.receives("udp4", 9, func() {
		if err := s.Send(lan.MagicUDPFrame(s.MAC(), netip.MustParseAddr("192.168.7.1"), sleepyMAC, nil)); err != nil {
			t.Error(err)
		}
	})
	if !bytes.Equal(got, magic) {
		t.Errorf("the client has got %d octets", len(got))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Send(make([]byte, 60)); err == nil {
		t.Error("it sends although it is closed")
	}
	porter.address("porter0", "fd77::1/64", noDAD)
	for _, own := range []string{"fd77::1", "192.168.7.1"} { // IPv4 if there is one
		if own == "192.168.7.1" {
			porter.address("porter0", own+"/24", 0)
		}
		open()
		if s.Source().String() != own {
			t.Errorf("datagrams come from %v, want %s", s.Source(), own)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
