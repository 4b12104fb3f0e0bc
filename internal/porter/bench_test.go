package porter

import (
	"sync/atomic"
	"testing"

	"nightporter/internal/lab/labtest"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// benchHall watches a thousand machines. Answers go nowhere, and what is
// reported stays on its way: the loop is a step behind, as in a flood.
func benchHall(b *testing.B) (*hall, machine.Spec) {
	specs := crowd(1000)
	h := newHall(b, sightingQueue, specs...)
	h.responder.Send = func([]byte) error { return nil }
	h.responder.Replied = func(lan.Kind) {}
	b.ReportAllocs()
	return h, specs[len(specs)/2]
}

func BenchmarkReader(b *testing.B) {
	for _, c := range []struct {
		name string
		p    func(machine.Spec) *lan.Packet
	}{
		{"foreign ARP", func(machine.Spec) *lan.Packet {
			return arpRequest(clientMAC, machine.Broadcast, client4, nobody4)
		}},
		{"foreign packet", func(machine.Spec) *lan.Packet { return syn(nobody4, 22) }},
		{"ARP answered", func(s machine.Spec) *lan.Packet {
			return arpRequest(clientMAC, machine.Broadcast, client4, s.Monitor[0].IP)
		}},
		{"solicitation answered", func(s machine.Spec) *lan.Packet {
			return solicit(clientMAC, client6, s.Monitor[1].IP)
		}},
		{"flood of knocks", func(s machine.Spec) *lan.Packet { return syn(s.Monitor[0].IP, 22) }},
		{"flood from a watched machine", func(s machine.Spec) *lan.Packet {
			return segment(s.MAC, s.Monitor[0].IP, client4, 443, flagACK)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			h, spec := benchHall(b)
			p := c.p(spec)
			for b.Loop() {
				h.handle(p)
			}
		})
	}
}

// BenchmarkKnock is one knock from the reader to the loop, each time anew.
func BenchmarkKnock(b *testing.B) {
	h, spec := benchHall(b)
	p := syn(spec.Monitor[0].IP, 22)
	for b.Loop() {
		h.handle(p)
		s := <-h.queue
		s.taken()
	}
}

// BenchmarkLookup is an answer that somebody waits for.
func BenchmarkLookup(b *testing.B) {
	h, _ := benchHall(b)
	answers, done := h.lookups.want(nobody4)
	defer done()
	p := arpReply(clientMAC, porterMAC, nobody4, porter4)
	for b.Loop() {
		h.handle(p)
		<-answers
	}
}

// BenchmarkPublish is a new view and kernel filter, because one machine of a
// thousand came or went.
func BenchmarkPublish(b *testing.B) {
	host := labtest.New(b).Porter()
	p, _ := vacant(b, nil)
	if err := host.Do(func() error { return p.openStubbed(new(atomic.Int64)) }); err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	for _, spec := range crowd(1000) {
		p.settle(spec).nic = p.nics[0]
	}
	b.ReportAllocs()
	for b.Loop() {
		p.nics[0].stale = true
		p.publish()
	}
}
