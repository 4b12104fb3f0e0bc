package lan_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// TestKernelSaysWhatIsUnfinished: what the kernel of a host on a virtual link
// sends has no checksums yet, also that of our own; a frame that a program
// has made itself has what it has.
func TestKernelSaysWhatIsUnfinished(t *testing.T) {
	porter, client := neighbors(t)
	in, out, peer := porter.open("porter0"), porter.openOutgoing("porter0"), client.open("client0")
	sums := make(chan lan.Checksum, 100)
	note := func(p *lan.Packet) {
		if p.Kind == lan.UDP && p.ToPort == 9 {
			sums <- p.Sum
		}
	}
	if err := errors.Join(in.SetInterest(lan.Interest{MACs: []ether.MAC{clientMAC}}), out.SetAddrs([]netip.Addr{client4, clientGlobal6})); err != nil {
		t.Fatal(err)
	}
	run(t, in, note)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- out.Run(ctx, note) }()
	defer func() {
		cancel()
		if err := receive(t, "the end of Run", ended); err != nil {
			t.Error(err)
		}
	}()
	for _, c := range []struct {
		name string
		send func()
		want lan.Checksum
	}{
		{"by a client's kernel", func() { call(client, porter4) }, lan.Unfinished},
		{"by a client's kernel, IPv6", func() { call(client, porterGlobal6) }, lan.Unfinished},
		{"by our own", func() { call(porter, client4) }, lan.Unfinished},
		{"by our own, IPv6", func() { call(porter, clientGlobal6) }, lan.Unfinished},
		{"by hand", func() {
			packet := finished(with(packet4(17, udp(5)), 23, 9), 17, 20)
			if err := peer.Send(ethernetFrame(0x0800, packet...)); err != nil {
				t.Fatal(err)
			}
		}, lan.Unchecked},
	} {
		c.send()
		if got := receive(t, "a datagram "+c.name, sums); got != c.want {
			t.Errorf("sent %s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestKernelDropsForwardedDamage: a datagram that was damaged before it reached us
// arrives as damaged, so that the machine's kernel drops it.
func TestKernelDropsForwardedDamage(t *testing.T) {
	r := newRelay(t)
	sender, witness := r.client.open("client0"), r.machine.open("sleepy0")
	if err := witness.SetInterest(lan.Interest{Addrs: sleepyAddrs}); err != nil {
		t.Fatal(err)
	}
	arrived := make(chan []byte, 100)
	run(t, witness, func(p *lan.Packet) {
		if p.Kind == lan.UDP {
			arrived <- append([]byte(nil), p.Frame[p.Transport:p.Transport+12]...)
		}
	})
	for _, ip := range sleepyAddrs {
		service := r.machine.listenUDP(ip)
		port := portOf(service.LocalAddr())
		datagram := func(text string) []byte {
			b := with(udp(4), 2, byte(port>>8), byte(port))
			copy(b[8:], text)
			if ip.Is4() {
				return ethernetFrame(0x0800, finished(packet4(17, b), 17, 20)...)
			}
			return ethernetFrame(0x86dd, finished(packet6(clientGlobal6, ip, 17, 64, b), 17, 40)...)
		}
		damaged := datagram("good")
		damaged[len(damaged)-1] ^= 0x20 // "gooD"
		for _, frame := range [][]byte{damaged, datagram("fine")} {
			if err := sender.Send(frame); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := receive(t, "the damaged datagram", arrived), damaged[len(damaged)-12:]; string(got) != string(want) {
			t.Errorf("%v: % x arrived, want % x", ip, got, want)
		}
		receive(t, "the other datagram", arrived)
		buffer := make([]byte, 100)
		if err := service.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, _, err := service.ReadFromUDPAddrPort(buffer)
		if err != nil || string(buffer[:n]) != "fine" {
			t.Errorf("%v: the service got %q, %v, want only the one that is right", ip, buffer[:n], err)
		}
	}
}
