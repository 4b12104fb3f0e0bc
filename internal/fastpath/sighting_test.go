package fastpath

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lan"
	"nightporter/internal/lantest"
)

// floods are the frames of which each leaves a sighting.
func floods() map[string]*lan.Packet {
	return map[string]*lan.Packet{
		"nas frame":                  lantest.IP(lan.UDP, nasMAC, netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255")),
		"nas answer from 10.77.0.99": lantest.ARPReply(nasMAC, lantest.PorterMAC, free4, porter4),
		"nas use fd77::20":           lantest.IP(lan.IP, nasMAC, nas6, client6),
		"nas echo 10.77.0.20":        pong(nas4, porter4),
		"nas test 10.77.0.20":        lantest.ARPProbe(nasMAC, nas4),
		"nas test fd77::20":          lantest.DAD(nasMAC, nas6),
		"nas packet 10.77.0.20":      lantest.Segment(nasMAC, nas4, client4, 443, lantest.ACK),
		"nas answer fd77::20":        lantest.Advertise(nasMAC, lantest.PorterMAC, nasMAC, nas6),
		"nas conflict fd77::20 by " + intruderMAC.String():   lantest.Advertise(intruderMAC, clientMAC, intruderMAC, nas6),
		"nas conflict 10.77.0.20 by " + intruderMAC.String(): lantest.ARPReply(intruderMAC, clientMAC, nas4, client4),
		"nas knock 10.77.0.20:22/tcp from 10.77.0.10:40000":  syn(nas4, 22),
		"nas knock [fd77::20]:22/tcp from [fd77::10]:40000":  syn(nas6, 22),
		"nas knock 10.77.0.20/icmp from 10.77.0.10:0":        echo(nas4),
	}
}

// However many frames of a kind come, one sighting of it waits for the loop.
func TestFloodLeavesOneSighting(t *testing.T) {
	for want, p := range floods() {
		t.Run(want, func(t *testing.T) {
			h := newFixture(t, 64, nas())
			for round := range 3 {
				for range 100 {
					h.Handle(p)
				}
				// seen takes it, and so the next round is reported again.
				if diff := cmp.Diff([]string{want}, h.seen()); diff != "" {
					t.Errorf("round %d (-want +got):\n%s", round, diff)
				}
			}
			if n := h.Lost(); n != 0 {
				t.Errorf("%d sightings lost with room for them", n)
			}
		})
	}
}

// Different things do not hide one another: all floods at once leave one
// sighting each.
func TestFloodsDoNotHideOneAnother(t *testing.T) {
	h := newFixture(t, 64, nas())
	for range 50 {
		for _, p := range floods() {
			h.Handle(p)
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
			h := newFixture(t, 1, nas(), tv())
			h.Handle(&lan.Packet{Kind: lan.IP, Src: tvMAC})
			for i := range uint64(3) {
				h.Handle(p)
				if got := h.Lost(); got != i+1 {
					t.Fatalf("%d sightings lost after %d frames", got, i+1)
				}
			}
			if diff := cmp.Diff([]string{"tv frame"}, h.seen()); diff != "" {
				t.Fatalf("the queue (-want +got):\n%s", diff)
			}
			h.Handle(p)
			if diff := cmp.Diff([]string{want}, h.seen()); diff != "" {
				t.Errorf("with room again (-want +got):\n%s", diff)
			}
			if got := h.Lost(); got != 3 {
				t.Errorf("%d sightings lost, want 3", got)
			}
		})
	}
}

// To report is as cheap as to pass by.
func TestNoAllocationsForASighting(t *testing.T) {
	h := newFixture(t, 64, nas())
	for want, p := range floods() {
		got := testing.AllocsPerRun(200, func() {
			h.Handle(p)
			s := <-h.queue
			s.Taken()
		})
		if got != 0 {
			t.Errorf("%s: %v allocations for each sighting", want, got)
		}
	}
}
