package lan_test

import (
	"net"
	"net/netip"
	"testing"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// The kernel of the client is the judge in these tests: does it take the frames
// of this package for what they are meant to be?

// knows returns the link-layer address that the client has for ip.
func knows(client *namespace, ip netip.Addr) machine.MAC {
	var mac machine.MAC
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
func answerFor(tb testing.TB, i *lan.Interface, owner machine.MAC, ips ...netip.Addr) {
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
		if mac := knows(client, ip); mac != (machine.MAC{}) {
			t.Fatalf("the client knows %v at %v already", ip, mac)
		}
		call(client, ip)
		eventually(t, "the client knows "+ip.String(), func() bool { return knows(client, ip) == porterMAC })
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
		eventually(t, "a warm entry for "+ip.String(), func() bool { return knows(client, ip) == sleepyMAC })
		owner := func(mac machine.MAC, frames [][]byte, err error) {
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
			eventually(t, ip.String()+" at "+mac.String(), func() bool { return knows(client, ip) == mac })
		}
		frames, err := lan.Announcement(porterMAC, machine.Broadcast, porterMAC, ip, porter6, netip.Addr{})
		owner(porterMAC, frames, err)
		frames, err = lan.Announcement(porterMAC, clientMAC, sleepyMAC, ip, porter6, netip.Addr{})
		owner(sleepyMAC, frames, err)
		frames, err = lan.Announcement(porterMAC, clientMAC, porterMAC, ip, porter6, client6)
		owner(porterMAC, frames, err)
		if ip.Is4() { // each form alone
			for n, mac := range []machine.MAC{sleepyMAC, porterMAC} {
				frames, err = lan.Announcement(porterMAC, clientMAC, mac, ip, porter6, client4)
				owner(mac, frames[n:n+1], err)
			}
		}
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
		for _, dst := range []machine.MAC{machine.Broadcast, clientMAC} {
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
	request := ether(0x0806, arpBody(1)...)
	for b.Loop() {
		if err := asker.Send(request); err != nil {
			b.Fatal(err)
		}
		<-answers
	}
}
