package porter

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// floods are the frames of which each leaves a sighting.
func floods() map[string]*lan.Packet {
	return map[string]*lan.Packet{
		"nas frame":             {Kind: lan.Other, Src: nasMAC},
		"nas test 10.77.0.20":   arpProbe(nasMAC, nas4),
		"nas test fd77::20":     dad(nasMAC, nas6),
		"nas packet 10.77.0.20": segment(nasMAC, nas4, client4, 443, flagACK),
		"nas answer fd77::20":   advertise(nasMAC, porterMAC, nasMAC, nas6),
		"nas conflict fd77::20 by " + thiefMAC.String():     advertise(thiefMAC, clientMAC, thiefMAC, nas6),
		"nas conflict 10.77.0.20 by " + thiefMAC.String():   arpReply(thiefMAC, clientMAC, nas4, client4),
		"nas knock 10.77.0.20:22/tcp from 10.77.0.10:40000": syn(nas4, 22),
		"nas knock [fd77::20]:22/tcp from [fd77::10]:40000": syn(nas6, 22),
		"nas knock 10.77.0.20/icmp from 10.77.0.10:0":       echo(nas4),
	}
}

// However many frames of a kind come, one sighting of it waits for the loop.
func TestFloodLeavesOneSighting(t *testing.T) {
	for want, p := range floods() {
		t.Run(want, func(t *testing.T) {
			h := newHall(t, 64, nas())
			for round := range 3 {
				for range 100 {
					h.handle(p)
				}
				// seen takes it, and so the next round is reported again.
				if diff := cmp.Diff([]string{want}, h.seen()); diff != "" {
					t.Errorf("round %d (-want +got):\n%s", round, diff)
				}
			}
			if n := h.lost.Load(); n != 0 {
				t.Errorf("%d sightings lost with room for them", n)
			}
		})
	}
}

// Different things do not hide one another: all floods at once leave one
// sighting each.
func TestFloodsDoNotHideOneAnother(t *testing.T) {
	h := newHall(t, 64, nas())
	for range 50 {
		for _, p := range floods() {
			h.handle(p)
		}
	}
	got := make(map[string]int)
	for _, s := range h.seen() {
		got[s]++
	}
	want := make(map[string]int)
	for s := range floods() {
		want[s] = 1
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sightings (-want +got):\n%s", diff)
	}
}

// A sighting for which there is no room is lost and counted. The next frame of
// its kind is reported again, as soon as there is room.
func TestFullQueueLosesAndRecovers(t *testing.T) {
	for want, p := range floods() {
		t.Run(want, func(t *testing.T) {
			h := newHall(t, 1, nas(), tv())
			h.handle(&lan.Packet{Kind: lan.Other, Src: tvMAC})
			for i := range uint64(3) {
				h.handle(p)
				if got := h.lost.Load(); got != i+1 {
					t.Fatalf("%d sightings lost after %d frames", got, i+1)
				}
			}
			if diff := cmp.Diff([]string{"tv frame"}, h.seen()); diff != "" {
				t.Fatalf("the queue (-want +got):\n%s", diff)
			}
			h.handle(p)
			if diff := cmp.Diff([]string{want}, h.seen()); diff != "" {
				t.Errorf("with room again (-want +got):\n%s", diff)
			}
			if got := h.lost.Load(); got != 3 {
				t.Errorf("%d sightings lost, want 3", got)
			}
		})
	}
}

// Frames that are none of our business, and those of which a like one waits
// already, cost no allocation: a flood makes no garbage.
func TestNoAllocations(t *testing.T) {
	type flood struct {
		name string
		p    *lan.Packet
	}
	all := []flood{
		{"foreign ARP request", arpRequest(clientMAC, machine.Broadcast, client4, nobody4)},
		{"foreign ARP reply", arpReply(clientMAC, porterMAC, client4, porter4)},
		{"foreign ARP probe", arpProbe(clientMAC, nobody4)},
		{"foreign solicitation", solicit(clientMAC, client6, nobody6)},
		{"foreign advertisement", advertise(clientMAC, porterMAC, clientMAC, client6)},
		{"foreign SYN", syn(nobody4, 22)},
		{"SYN to another port", syn(nas4, 23)},
		{"established connection", segment(clientMAC, client4, nas4, 22, flagACK)},
		{"foreign datagram", datagram(nobody4, 53)},
		{"foreign frame", &lan.Packet{Kind: lan.Other, Src: clientMAC}},
	}
	for name, p := range floods() {
		all = append(all, flood{name, p})
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			h := newHall(t, 64, nas(), tv())
			if got := testing.AllocsPerRun(200, func() { h.handle(c.p) }); got != 0 {
				t.Errorf("%v allocations for each frame", got)
			}
		})
	}
}

// To report is as cheap as to pass by.
func TestNoAllocationsForASighting(t *testing.T) {
	h := newHall(t, 64, nas())
	for want, p := range floods() {
		got := testing.AllocsPerRun(200, func() {
			h.handle(p)
			s := <-h.queue
			s.taken()
		})
		if got != 0 {
			t.Errorf("%s: %v allocations for each sighting", want, got)
		}
	}
}
