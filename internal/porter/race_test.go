package porter

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/fastpath"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// crowd returns n machines with both families.
func crowd(n int) []machine.Spec {
	ports := []machine.Port{ssh, game, ping}
	all := make([]machine.Spec, n)
	for i := range all {
		mac := machine.MAC{2, 0x77, 1, 0, byte(i >> 8), byte(i)}
		ip6 := nas6.As16()
		ip6[14], ip6[15] = byte(i>>8)+1, byte(i)
		all[i] = machine.Spec{Name: "m" + mac.String(), MAC: mac, Monitor: []machine.Address{
			{IP: netip.AddrFrom4([4]byte{10, 77, byte(i>>8) + 1, byte(i)}), Ports: ports},
			{IP: netip.AddrFrom16(ip6), Ports: ports},
		}}
	}
	return all
}

// bustle is the traffic about a machine: it speaks, if it does, others ask for
// it, knock, and use its address.
func bustle(spec machine.Spec, speaks bool) []*lan.Packet {
	ip4, ip6 := spec.Monitor[0].IP, spec.Monitor[1].IP
	all := []*lan.Packet{
		arpRequest(clientMAC, machine.Broadcast, client4, ip4), solicit(clientMAC, client6, ip6), dad(thiefMAC, ip6),
		syn(ip4, 22), syn(ip6, 22), datagram(ip4, 27015), echo(ip4), syn(ip4, 23), syn(nobody4, 22),
	}
	if speaks {
		all = append(all, arpProbe(spec.MAC, ip4), dad(spec.MAC, ip6), segment(spec.MAC, ip4, client4, 443, flagACK),
			arpReply(spec.MAC, porterMAC, ip4, porter4), &lan.Packet{Kind: lan.Other, Src: spec.MAC},
			arpReply(thiefMAC, clientMAC, ip4, client4))
	}
	return all
}

// Several readers and a loop that registers, claims, wakes, releases and
// forgets share the views and their flags. The race detector looks on. In the
// end no flag is stuck, and nothing is answered any more.
func TestReadersAndLoop(t *testing.T) {
	host := labtest.New(t).Porter()
	p, _ := vacant(t, nil)
	p.conf.Probe = config.Probe{Interval: time.Millisecond, Misses: 1, Timeout: time.Second}
	p.conf.Wake.Attempts, p.conf.Wake.Interval = 2, 5*time.Millisecond
	var sent, asleep atomic.Int64
	if err := host.Do(func() (err error) { return p.openStubbed(&sent) }); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	n := p.nics[0]

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- host.Do(func() error { p.loop(ctx); return nil }) }()

	specs := crowd(12)
	hammering, stopHammering := context.WithCancel(ctx)
	defer stopHammering()
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := 0; hammering.Err() == nil; i++ {
				for j, spec := range specs {
					for _, packet := range bustle(spec, j%2 == 0 && i%8 == 0) {
						n.reader.Handle(packet)
					}
				}
			}
		})
	}
	for round := range 16 {
		for i, spec := range specs {
			if round%3 == 1 {
				spec.Monitor = spec.Monitor[:1+i%2]
			}
			err := p.inLoop(ctx, func() {
				p.admit(spec, n)
				for _, r := range p.machines {
					if r.State() == machine.Asleep || r.State() == machine.Waking {
						asleep.Add(1)
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for i, spec := range specs {
			var err error
			switch (round + i) % 4 {
			case 0:
				err = p.Wake(ctx, spec.Name, "test")
			case 1:
				err = p.Forget(ctx, spec.Name, "test")
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.Reload(ctx, p.conf); err != nil {
			t.Fatal(err)
		}
	}
	if asleep.Load() == 0 || sent.Load() == 0 {
		t.Errorf("nothing was proved: %d machines asleep, %d answers", asleep.Load(), sent.Load())
	}

	stopHammering()
	readers.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	p.drain()
	p.wantQuiet(t, specs, &sent)
}

// openStubbed opens the interface. Answers and announcements are only counted.
func (p *Porter) openStubbed(answers *atomic.Int64) error {
	n, err := openNIC(lab.Interface, false, p.sightings, p.replied, p.log)
	if err != nil {
		return err
	}
	p.stub(n, func([]byte) error { answers.Add(1); return nil }, n.forward)
	n.announcer.Send = func(netip.Addr, machine.MAC) {}
	p.nics = append(p.nics, n)
	return nil
}

// wantQuiet fails the test if a machine is answered for, or if a sighting is
// stuck on its way to the loop: then no other of its kind is reported.
func (p *Porter) wantQuiet(t *testing.T, specs []machine.Spec, answers *atomic.Int64) {
	t.Helper()
	reader := p.nics[0].reader
	before := answers.Load()
	for _, spec := range specs {
		for _, packet := range bustle(spec, false) {
			reader.Handle(packet)
		}
	}
	if got := answers.Load() - before; got != 0 {
		t.Errorf("%d answers after everything was released", got)
	}
	p.drain()
	for _, spec := range specs {
		if reader.View().Address(spec.Monitor[0].IP) == nil {
			continue
		}
		for _, packet := range bustle(spec, true) {
			reader.Handle(packet)
		}
		got := make(map[fastpath.Kind]int)
		for len(p.sightings) > 0 {
			s := <-p.sightings
			s.Taken()
			got[s.Kind]++
		}
		want := map[fastpath.Kind]int{fastpath.SawFrame: 1, fastpath.SawTest: 2, fastpath.SawPacket: 1, fastpath.SawAnswer: 1, fastpath.SawConflict: 1}
		for _, ip := range spec.Addrs() {
			switch a := reader.View().Address(ip); {
			case a == nil || a.Answered():
				t.Errorf("%v: %+v", ip, a)
			case p.byMAC[spec.MAC].Conceded(ip):
			case ip.Is4():
				want[fastpath.SawKnock] += 3
			default:
				want[fastpath.SawKnock]++
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: sightings (-want +got):\n%s", spec.Name, diff)
		}
	}
}
