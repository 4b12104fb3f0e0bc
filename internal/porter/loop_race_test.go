package porter

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/fastpath"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// traffic is what passes about a machine: it speaks, if it does, others ask for
// it, knock, and use its address.
func traffic(spec machine.Spec, speaks bool) []*lan.Packet {
	ip4, ip6 := spec.Monitor[0].IP, spec.Monitor[1].IP
	all := []*lan.Packet{
		lantest.ARPRequest(clientMAC, ether.Broadcast, client4, ip4), lantest.Solicit(clientMAC, client6, ip6), lantest.DAD(strangerMAC, ip6),
		syn(ip4, 22), syn(ip6, 22), datagram(ip4, 27015), echo(ip4), syn(ip4, 23), syn(unused4, 22),
	}
	if speaks {
		all = append(all, lantest.ARPProbe(spec.MAC, ip4), lantest.DAD(spec.MAC, ip6), lantest.Segment(spec.MAC, ip4, client4, 443, lantest.ACK),
			lantest.ARPReply(spec.MAC, lantest.PorterMAC, ip4, porter4), &lan.Packet{Kind: lan.Other, Src: spec.MAC},
			lantest.ARPReply(strangerMAC, clientMAC, ip4, client4))
	}
	return all
}

// Several readers and a loop that registers, claims, wakes, releases and forgets
// share the views and their flags. The race detector looks on. In the end no flag
// is stuck, and nothing is answered any more.
func TestReadersAndLoop(t *testing.T) {
	withLoop(t, func(c *config.Config) { c.Wake.Attempts, c.Wake.Interval = 2, time.Second }, func(x *fixture) {
		var sent, asleep atomic.Int64
		x.n.transmit = func([]byte) error { sent.Add(1); return nil }
		stop := x.serve()
		specs := lantest.Crowd(12)
		reading, stopReading := context.WithCancel(x.Context())
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for i := 0; reading.Err() == nil; i++ {
					for j, spec := range specs {
						for _, p := range traffic(spec, j%2 == 0 && i%8 == 0) {
							x.n.reader.Handle(p)
						}
					}
					time.Sleep(60 * time.Millisecond)
				}
			})
		}
		for round := range 12 {
			for i, spec := range specs {
				if round%3 == 1 {
					spec.Monitor = spec.Monitor[:1+i%2]
				}
				if err := x.porter.inLoop(x.Context(), func() { _ = x.admit(admission{Request: request(spec), nic: x.n, fromMachine: true}) }); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(4 * time.Second)
			for i, s := range x.porter.Machines() {
				if s.State == machine.Asleep || s.State == machine.Waking {
					asleep.Add(1)
				}
				var err error
				switch (round + i) % 4 {
				case 0:
					err = x.porter.Wake(x.Context(), s.Name, "test")
				case 1:
					err = x.porter.Forget(x.Context(), s.Name, "test")
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := x.porter.Reload(x.Context(), x.conf); err != nil {
				t.Fatal(err)
			}
		}
		if asleep.Load() == 0 || sent.Load() == 0 {
			t.Errorf("nothing was proved: %d machines asleep, %d frames sent", asleep.Load(), sent.Load())
		}
		stopReading()
		readers.Wait()
		stop()
		x.drain()
		x.keep(x.n)
		wantQuiet(x, specs)
	})
}

// wantQuiet fails the test if a machine is answered for, or if a sighting is stuck
// on its way to the loop: then no other of its kind is reported.
func wantQuiet(x *fixture, specs []machine.Spec) {
	x.Helper()
	reader := x.n.reader
	for _, spec := range specs {
		for _, p := range traffic(spec, false) {
			reader.Handle(p)
		}
	}
	if n := len(x.sent); n != 0 {
		x.Errorf("%d frames after everything was released", n)
	}
	x.drain()
	for _, spec := range specs {
		if reader.View().Address(spec.Monitor[0].IP) == nil {
			continue
		}
		for _, p := range traffic(spec, true) {
			reader.Handle(p)
		}
		got := make(map[fastpath.Kind]int)
		for len(x.sightings) > 0 {
			s := <-x.sightings
			s.Taken()
			got[s.Kind]++
		}
		want := map[fastpath.Kind]int{fastpath.SawFrame: 1, fastpath.SawTest: 2, fastpath.SawPacket: 1, fastpath.SawAnswer: 1, fastpath.SawConflict: 1}
		if got[fastpath.SawContest] > 0 { // its last wake failed
			want[fastpath.SawContest] = 1
		}
		for _, ip := range spec.Addrs() {
			switch a := reader.View().Address(ip); {
			case a == nil || a.Answering():
				x.Errorf("%v: %+v", ip, a)
			case x.machine(spec).Conceded(ip):
			case ip.Is4():
				want[fastpath.SawKnock] += 3
			default:
				want[fastpath.SawKnock]++
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			x.Errorf("%s: sightings (-want +got):\n%s", spec.Name, diff)
		}
	}
}

// BenchmarkPublish is a new view and kernel filter, because one machine of a
// thousand came or went.
func BenchmarkPublish(b *testing.B) {
	host := sharedLab(b).Porter()
	x := newFixture(b, func(c *config.Config) { c.Interfaces = []string{"eth0"} })
	defer x.porter.Close()
	if err := host.Do(func() error { return x.interfaces.open(x.conf) }); err != nil {
		b.Fatal(err)
	}
	for _, spec := range lantest.Crowd(1000) {
		if err := x.admit(admission{Request: request(spec), nic: x.nics[0], fromMachine: true}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		x.nics[0].viewStale = true
		x.publish()
	}
}

// BenchmarkAttended is an answer of one of a thousand machines that are awake.
func BenchmarkAttended(b *testing.B) {
	x := newFixture(b, nil)
	n := newNIC("eth7", false, x.sightings, x.replied, discard)
	n.transmit = func([]byte) error { return nil }
	n.reader.SetSelf(lantest.PorterMAC)
	x.nics = []*nic{n}
	specs := lantest.Crowd(1000)
	for i := range specs {
		specs[i].Agentless = true
	}
	if err := x.configure(specs); err != nil {
		b.Fatal(err)
	}
	for _, e := range x.machines.sorted() {
		e.nic, n.viewStale = n, true
	}
	x.publish()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		spec := specs[i%len(specs)]
		for _, ip := range spec.Addrs() {
			n.reader.Handle(lantest.ARPReply(spec.MAC, lantest.PorterMAC, ip, porter4))
			x.drain()
		}
	}
}
