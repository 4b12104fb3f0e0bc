package porter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/fastpath"
	"nightporter/internal/handover"
	"nightporter/internal/lantest"
)

// corrected returns what was sent to a client that asked, after began, and forgets
// it. For IPv4 there are two frames.
func corrected(x *fixture, began time.Time) (lines []string) {
	for _, s := range x.sent {
		ip, owner, all := s.announces()
		if !ip.IsValid() || all || ip.Is4() && s.From == s.To && s.Kind.String() == "arp request" {
			continue
		}
		if owner != x.n.MAC() || s.Dst != otherMAC {
			x.Errorf("%v is sent that %v is at %v", s.Dst, ip, owner)
		}
		lines = append(lines, fmt.Sprint(s.at.Sub(began), " ", ip))
	}
	x.forgetSent()
	return lines
}

// A client that has asked is answered once more, alone, as long as we answer for the
// address: the machine's card has answered it as well.
func TestRequestersAreCorrected(t *testing.T) {
	withLoop(t, overridden, func(x *fixture) {
		x.behindItsCard()
		x.forgetSent()
		began := time.Now()
		x.answers(nas4)
		x.answers(nas6)
		x.pass(10 * time.Second)
		want := []string{"5ms 10.77.0.20", "5ms fd77::20", "50ms 10.77.0.20", "50ms fd77::20", "300ms 10.77.0.20", "300ms fd77::20", "1.1s 10.77.0.20", "1.1s fd77::20"}
		if diff := cmp.Diff(want, corrected(x, began)); diff != "" {
			t.Errorf("corrected (-want +got):\n%s", diff)
		}

		began = time.Now()
		for range 10 { // it may ask as often as it likes
			x.answers(nas4)
			x.pass(30 * time.Millisecond)
		}
		n := len(corrected(x, began))
		if n < 10 || n > 16 {
			t.Errorf("corrected %d times while it asked for 0.3 s", n)
		}
		x.pass(10 * time.Second)
		if got := corrected(x, began); !strings.HasPrefix(got[len(got)-1], "1.3") {
			t.Errorf("corrected %q", got)
		}

		x.answers(nas4)
		x.hear(lantest.ARPProbe(nasMAC, nas4)) // it is up, and tests its address
		x.pass(2 * time.Second)
		if got := corrected(x, began); got != nil {
			t.Errorf("corrected %q against the machine", got)
		}
	})
}

// A flood of requesters takes no more room than a second of them.
func TestFloodOfRequesters(t *testing.T) {
	var q corrections
	now := time.Now()
	for i := range 3 * fastpath.MaxRequesters {
		q.schedule(now, fastpath.Requester{Addr: nas4, MAC: ether.MAC{2, 1, 0, 0, byte(i >> 8), byte(i)}}, client4, false)
	}
	n := 0
	for at := q.next(); !at.IsZero(); at = q.next() {
		q.run(at, func(handover.Client) { n++ })
	}
	if want := len(cardCorrections) * fastpath.MaxRequesters; n != want || len(q.pending) != 0 {
		t.Errorf("corrected %d times, want %d; %d are left", n, want, len(q.pending))
	}
}
