package fastpath

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/lantest"
)

// A neighbor that asks everyone gets two answers, and is noted once, however often
// it asks.
func TestReaderNotesRequesters(t *testing.T) {
	h := newFixture(t, 8, nas(), tv())
	w := h.View().targets[nasMAC]
	ask := func() {
		h.Handle(lantest.ARPRequest(clientMAC, ether.Broadcast, client4, nas4))
		h.Handle(lantest.ARPRequest(clientMAC, ether.Broadcast, client4, tv4))
	}
	ask()
	w.SetCardAnswers(true)
	h.Handle(lantest.ARPRequest(clientMAC, lantest.PorterMAC, client4, nas4)) // verifies what it has from us
	h.Handle(lantest.ARPProbe(intruderMAC, nas4))
	if got := h.seen(); len(got) > 0 || len(w.TakeRequesters()) > 0 {
		t.Errorf("%q for no rival", got)
	}
	ask()
	h.Handle(lantest.Solicit(otherMAC, client6, nas6))
	ask()
	if diff := cmp.Diff([]string{"nas request"}, h.seen()); diff != "" {
		t.Errorf("sightings (-want +got):\n%s", diff)
	}
	want := map[Requester]netip.Addr{{nas4, clientMAC}: client4, {nas6, otherMAC}: client6}
	if got := w.TakeRequesters(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("requesters %v, want %v", got, want)
	}
	for i := range 2 * MaxRequesters {
		h.Handle(lantest.ARPRequest(ether.MAC{2, 1, 0, 0, byte(i >> 8), byte(i)}, ether.Broadcast, client4, nas4))
	}
	if got := len(w.TakeRequesters()); got != MaxRequesters {
		t.Errorf("%d requesters noted in a flood, want %d", got, MaxRequesters)
	}
}
