package lan_test

import (
	"context"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
	"pgregory.net/rapid"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// TestTwoSocketsShareTheFrames: what one socket alone would see, one of the two
// sees, and neighbour discovery is never in the way of anything else.
func TestTwoSocketsShareTheFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInterest(t)
		limit := rapid.SampledFrom([]int{0, 60, 4000}).Draw(t, "limit")
		one, _ := vm(t, in, limit)
		var parts [2]*bpf.VM
		for i, code := range func() [2][]bpf.Instruction {
			neighbors, others := in.PartBodies(limit)
			return [2][]bpf.Instruction{neighbors, others}
		}() {
			var err error
			if parts[i], err = bpf.NewVM(code); err != nil {
				t.Fatalf("program: %v", err)
			}
		}
		for range 40 {
			frame := drawFrame(t)
			neighbors, others := passes(t, parts[0], frame), passes(t, parts[1], frame)
			if neighbors && others {
				t.Fatalf("both see % x", frame)
			}
			var p lan.Packet
			if p.Parse(frame) != lan.Accepted {
				continue
			}
			// With little room they give up sets, each its own, and see more than is wanted.
			all, seen := passes(t, one, frame), neighbors || others
			if must, _ := wanted(in, frame); must && !seen || all != seen && limit == 4000 {
				t.Fatalf("one socket would see it: %v, and of two one does: %v: % x", all, seen, frame)
			}
			if neighbors && p.Kind != lan.ARPRequest && p.Kind != lan.ARPReply && p.Kind != lan.NeighborSolicitation && p.Kind != lan.NeighborAdvertisement {
				t.Fatalf("a %v among the neighbors' frames", p.Kind)
			}
		}
	})
}

// TestNeighborsSeeTheQuestions of a kernel, and the Interface sees its packets.
func TestNeighborsSeeTheQuestions(t *testing.T) {
	porter, client := neighbors(t)
	i := porter.open("porter0")
	var n *lan.Neighbors
	porter.do(func() (err error) {
		n, err = i.OpenNeighbors(nil)
		return err
	})
	t.Cleanup(func() { n.Close() })
	if err := i.SetInterest(lan.Interest{Addrs: []netip.Addr{sleepy4, sleepy6}, MACs: []machine.MAC{clientMAC}}); err != nil {
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
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}
