package fastpath

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/fair"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// A knock carries the kernel's receive time, from which the latency of the
// wake is measured.
func TestKnockTime(t *testing.T) {
	h := newFixture(t, 8, nas())
	p := syn(nas4, 22)
	p.Time = time.Unix(1_700_000_000, 42)
	h.Handle(p)
	if s := <-h.queue; !s.At.Equal(p.Time) {
		t.Errorf("knock at %v, want %v", s.At, p.Time)
	}
}

// What our own host sends knocks if it comes to our MAC. Anything else is on its
// way to its destination.
func TestHandleOutgoing(t *testing.T) {
	h := newFixture(t, 8, nas())
	h.HandleOutgoing(lantest.Segment(lantest.PorterMAC, porter4, nas4, 22, lantest.SYN))
	if diff := cmp.Diff([]string{"nas knock 10.77.0.20:22/tcp from 10.77.0.2:40000"}, h.seen()); diff != "" {
		t.Errorf("sightings (-want +got):\n%s", diff)
	}
	p := lantest.Segment(lantest.PorterMAC, porter4, nas4, 22, lantest.SYN)
	p.Dst = nasMAC
	h.HandleOutgoing(p)
	h.HandleOutgoing(lantest.ARPRequest(lantest.PorterMAC, machine.Broadcast, porter4, nas4))
	if got := h.seen(); got != nil || len(h.sent) > 0 {
		t.Errorf("reported %q and sent %d frames", got, len(h.sent))
	}
}

// A flood that does not wake leaves one sighting of each reason, and no garbage.
func TestFloodOfSuppressedKnocks(t *testing.T) {
	h := newFixture(t, 8, nas())
	rules := &fair.Rules{MinKnocks: 1, Quiet: fair.Hours{{From: 0, To: 24 * 60}}}
	h.View().rules.Filter = rules
	judge := h.View().targets[nasMAC].judge
	judge.Follow(time.Now(), true)
	p := syn(nas4, 22)
	if n := testing.AllocsPerRun(100, func() { h.Handle(p) }); n > 0 {
		t.Errorf("%v allocations for each frame", n)
	}
	for range 10 {
		h.Handle(echo(nas4))
	}
	*rules = fair.Rules{MinKnocks: 10, Window: time.Minute}
	for range 3 {
		h.Handle(datagram(nas4, 27015))
	}
	want := []string{
		fmt.Sprintf("nas suppressed %s:22/tcp from %s:40000: quiet_hours", nas4, client4),
		fmt.Sprintf("nas suppressed %s:27015/udp from %s:40000: min_knocks", nas4, client4),
	}
	for range 2 {
		if diff := cmp.Diff(want, h.seen()); diff != "" {
			t.Errorf("sightings (-want +got):\n%s", diff)
		}
		h.Handle(datagram(nas4, 27015)) // the last was taken, and so the next is reported
		want = want[1:]
	}
	if got := judge.Suppressed(); got[machine.InQuietHours] != 111 || got[machine.TooFewKnocks] != 5 {
		t.Errorf("counted %v", got)
	}
}

// BenchmarkKnock is one knock from the reader to the loop, each time anew.
func BenchmarkKnock(b *testing.B) {
	h, spec := benchFixture(b)
	p := syn(spec.Monitor[0].IP, 22)
	for b.Loop() {
		h.Handle(p)
		s := <-h.queue
		s.Taken()
	}
}
