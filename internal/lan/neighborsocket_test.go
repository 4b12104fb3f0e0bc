package lan_test

import (
	"context"
	"net/netip"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/waittest"
)

// TestNeighborsSeeTheQuestions of a kernel, and the Interface sees its packets;
// also after the link was down, when the kernel has put its sockets in order anew.
func TestNeighborsSeeTheQuestions(t *testing.T) {
	porter, client := neighbors(t)
	i := porter.open("porter0")
	var n *lan.Neighbors
	porter.do(func() (err error) {
		n, err = i.OpenNeighbors(nil)
		return err
	})
	t.Cleanup(func() { n.Close() })
	in := lan.Interest{Addrs: []netip.Addr{sleepy4, sleepy6}, MACs: []ether.MAC{clientMAC}}
	if err := i.SetInterest(in); err != nil {
		t.Fatal(err)
	}
	packets, questions := make(chan lan.Kind, 1000), make(chan lan.Kind, 1000)
	run(t, i, func(p *lan.Packet) { packets <- p.Kind })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- n.Run(ctx, func(p *lan.Packet) {
			questions <- p.Kind
			if answer, err := lan.AnswerTo(p, porterMAC, porterMAC); err == nil {
				_ = i.Send(answer) // the client asks again
			}
		})
	}()
	for _, flapped := range []bool{false, true} {
		if flapped {
			porter.setUp("porter0", false)
			porter.setUp("porter0", true)
			waittest.Until(t, "a link that runs", func() bool { return client.running("client0") && porter.running("porter0") })
			client.setUp("client0", false) // it forgets its neighbors
			client.setUp("client0", true)
			client.address("client0", "fe80::2/64", noDAD) // and its addresses
			client.address("client0", "2001:db8::2/64", noDAD)
			client.ready("client0")
		}
		for _, ip := range []netip.Addr{sleepy4, sleepy6} {
			call(client, ip)
			for kind := receive(t, "a datagram", packets); kind != lan.UDP; kind = receive(t, "a datagram", packets) {
				if kind != lan.IP { // what a kernel says by multicast
					t.Errorf("the Interface sees a %v", kind)
				}
			}
			if kind := receive(t, "a question", questions); kind != lan.ARPRequest && kind != lan.NeighborSolicitation {
				t.Errorf("the Neighbors see a %v first", kind)
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}
