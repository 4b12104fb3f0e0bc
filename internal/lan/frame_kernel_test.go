package lan_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/waittest"
)

// The kernel of the client decides in these tests: does it accept the frames
// of this package for what they are meant to be?

// knows returns the link-layer address that the client has for ip.
func knows(client *namespace, ip netip.Addr) ether.MAC {
	var mac ether.MAC
	client.tb.Helper()
	client.do(func() error {
		ifi, err := net.InterfaceByName("client0")
		if err != nil {
			return err
		}
		mac, _, err = lan.NeighborMAC(ifi.Index, ip)
		return err
	})
	return mac
}

// call makes the client send a datagram to ip, for which it has to ask who has it.
func call(client *namespace, ip netip.Addr) {
	client.tb.Helper()
	client.do(func() error {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 9)))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("knock"))
		return err
	})
}

// answerFor answers all questions for the addresses, saying that they are at owner.
func answerFor(tb testing.TB, i *lan.Interface, owner ether.MAC, ips ...netip.Addr) {
	tb.Helper()
	run(tb, i, func(p *lan.Packet) {
		for _, ip := range ips {
			if p.Kind == lan.ARPRequest && p.To == ip || p.Kind == lan.NeighborSolicitation && p.Target == ip {
				frame, err := lan.AnswerTo(p, i.MAC(), owner)
				if err == nil {
					err = i.Send(frame)
				}
				if err != nil {
					tb.Error(err)
				}
			}
		}
	})
}

func TestClientTakesTheAnswer(t *testing.T) {
	porter, client := neighbors(t)
	answerFor(t, porter.open("porter0"), porterMAC, sleepy4, sleepy6)
	for _, ip := range []netip.Addr{sleepy4, sleepy6} {
		if mac := knows(client, ip); mac != (ether.MAC{}) {
			t.Fatalf("the client knows %v at %v already", ip, mac)
		}
		call(client, ip)
		waittest.Until(t, "the client knows "+ip.String(), func() bool { return knows(client, ip) == porterMAC })
	}
}

// A client with a fresh entry has to take an announcement at once (fact: an
// ordinary ARP reply is ignored for a second).
func TestClientTakesTheAnnouncement(t *testing.T) {
	porter, client := neighbors(t)
	i := porter.open("porter0")
	answerFor(t, i, sleepyMAC, sleepy4, sleepy6)
	for _, ip := range []netip.Addr{sleepy4, sleepy6} {
		call(client, ip)
		waittest.Until(t, "a warm entry for "+ip.String(), func() bool { return knows(client, ip) == sleepyMAC })
		owner := func(mac ether.MAC, frames [][]byte, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			for n, frame := range frames {
				if err := i.Send(frame); err != nil {
					t.Fatal(err)
				}
				t.Logf("%v at %v after frame %d: %v", ip, mac, n, knows(client, ip) == mac)
			}
			waittest.Until(t, ip.String()+" at "+mac.String(), func() bool { return knows(client, ip) == mac })
		}
		frames, err := lan.Announcement(porterMAC, ether.Broadcast, porterMAC, ip, porter6, netip.Addr{})
		owner(porterMAC, frames, err)
		frames, err = lan.Announcement(porterMAC, clientMAC, sleepyMAC, ip, porter6, netip.Addr{})
		owner(sleepyMAC, frames, err)
		frames, err = lan.Announcement(porterMAC, clientMAC, porterMAC, ip, porter6, client6)
		owner(porterMAC, frames, err)
		if ip.Is4() { // each form alone
			for n, mac := range []ether.MAC{sleepyMAC, porterMAC} {
				frames, err = lan.Announcement(porterMAC, clientMAC, mac, ip, porter6, client4)
				owner(mac, frames[n:n+1], err)
			}
		}
	}
}

// TestClientTakesTheCorrection without an entry, over a fresh one, and where it takes no
// announcement.
func TestClientTakesTheCorrection(t *testing.T) {
	for _, hardened := range []bool{false, true} {
		porter, client := neighbors(t)
		i := porter.open("porter0")
		if hardened {
			client.do(func() error {
				return errors.Join(os.WriteFile("/proc/sys/net/ipv4/conf/all/drop_gratuitous_arp", []byte("1"), 0),
					os.WriteFile("/proc/sys/net/ipv6/conf/client0/drop_unsolicited_na", []byte("1"), 0))
			})
		}
		for _, pair := range [][2]netip.Addr{{sleepy4, client4}, {sleepy6, client6}} {
			ip := pair[0]
			for n, owner := range []ether.MAC{porterMAC, sleepyMAC, porterMAC} {
				if hardened && n > 0 {
					frames, err := lan.Announcement(porterMAC, clientMAC, owner, ip, porter6, pair[1])
					send(t, i, err, frames...)
					if knows(client, ip) == owner {
						t.Errorf("the client takes announcements of %v", ip)
					}
				}
				frame, err := lan.Correction(porterMAC, clientMAC, owner, ip, pair[1])
				send(t, i, err, frame)
				waittest.Until(t, fmt.Sprintf("%v at %v", ip, owner), func() bool { return knows(client, ip) == owner })
			}
		}
	}
}

func send(t *testing.T, i *lan.Interface, failed error, frames ...[]byte) {
	t.Helper()
	for _, frame := range frames {
		failed = errors.Join(failed, i.Send(frame))
	}
	if failed != nil {
		t.Fatal(failed)
	}
}

func TestClientAnswersTheProbe(t *testing.T) {
	porter, _ := neighbors(t)
	i := porter.open("porter0")
	answers := make(chan netip.Addr, 100)
	run(t, i, func(p *lan.Packet) {
		switch {
		case p.Kind == lan.ARPReply && p.SenderMAC == clientMAC:
			answers <- p.From
		case p.Kind == lan.NeighborAdvertisement && p.Src == clientMAC && p.Solicited:
			answers <- p.Target
		}
	})
	for _, c := range []struct{ from, target netip.Addr }{
		{porter4, client4}, {porter6, client6}, {porter6, netip.MustParseAddr("2001:db8::2")},
	} {
		for _, dst := range []ether.MAC{ether.Broadcast, clientMAC} {
			frame, err := lan.NeighborProbe(porterMAC, dst, c.from, c.target)
			if err != nil {
				t.Fatal(err)
			}
			if err := i.Send(frame); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, "an answer for "+c.target.String(), answers); got != c.target {
				t.Errorf("an answer for %v, want one for %v", got, c.target)
			}
		}
	}
}

// BenchmarkAnswer is the way of a question through the porter and back: kernel,
// reader, parser, builder, kernel. It includes the asking side's own reader.
func BenchmarkAnswer(b *testing.B) {
	porter, client := neighbors(b)
	i, asker := porter.open("porter0"), client.open("client0")
	answerFor(b, i, porterMAC, sleepy4)
	answers := make(chan struct{}, 1)
	run(b, asker, func(p *lan.Packet) {
		if p.Kind == lan.ARPReply && p.From == sleepy4 {
			answers <- struct{}{}
		}
	})
	request := ethernetFrame(0x0806, arpBody(1)...)
	for b.Loop() {
		if err := asker.Send(request); err != nil {
			b.Fatal(err)
		}
		<-answers
	}
}
