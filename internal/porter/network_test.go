package porter

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/config"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

func TestSteer(t *testing.T) {
	opened := lan.Status{Index: 2, MAC: porterMAC, MTU: 1500}
	fine := opened
	fine.Up, fine.Carrier = true, true
	change := func(f func(*lan.Status)) lan.Status { s := fine; f(&s); return s }
	old := []netip.Prefix{netip.MustParsePrefix("10.77.0.2/24")}
	leased := []netip.Prefix{netip.MustParsePrefix("10.77.0.3/24")}
	for _, c := range []struct {
		name   string
		is     lan.Status
		addrs  []netip.Prefix
		closed bool
		news   lan.Change
		wasOut bool
		want   course
	}{
		{name: "nothing that matters", is: fine, addrs: old},
		{name: "gone", addrs: old, want: course{fault: "is gone"}},
		{name: "gone for long", closed: true, wasOut: true, want: course{fault: "is gone"}},
		{name: "down", is: change(func(s *lan.Status) { s.Up, s.Carrier = false, false }), addrs: old, want: course{fault: "is down"}},
		{name: "no carrier", is: change(func(s *lan.Status) { s.Carrier = false }), addrs: old, want: course{fault: "has no carrier"}},
		{name: "no carrier and no address", is: change(func(s *lan.Status) { s.Carrier = false }), want: course{fault: "has no carrier"}},
		{name: "no address", is: fine, news: lan.Change{AddrLost: true}, want: course{fault: "has no IP address"}},
		{name: "back", is: fine, addrs: old, wasOut: true, want: course{restore: true, announce: true}},
		{name: "away for a moment", is: fine, addrs: old, news: lan.Change{LinkLost: true}, want: course{restore: true, announce: true}},
		{name: "an address away for a moment", is: fine, addrs: old, news: lan.Change{AddrLost: true}, want: course{restore: true}},
		{name: "another address", is: fine, addrs: leased, want: course{readdr: true, restore: true}},
		{
			name: "made anew", is: change(func(s *lan.Status) { s.Index = 7 }), addrs: old, wasOut: true,
			want: course{reopen: true, restore: true, announce: true},
		},
		{
			name: "made anew, and not ready", is: change(func(s *lan.Status) { s.Index, s.Up, s.Carrier = 7, false, false }), wasOut: true,
			want: course{fault: "is down"},
		},
		{
			name: "another MAC", is: change(func(s *lan.Status) { s.MAC = thiefMAC }), addrs: old,
			want: course{reopen: true, restore: true, announce: true},
		},
		{
			name: "another MTU", is: change(func(s *lan.Status) { s.MTU = 9000 }), addrs: old,
			want: course{reopen: true, restore: true, announce: true},
		},
		{name: "closed for an error", is: fine, addrs: old, closed: true, want: course{reopen: true, restore: true, announce: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := opened
			if c.closed {
				was = lan.Status{}
			}
			got := steer(outlook{c.is, lan.Network{Prefixes: c.addrs}}, was, lan.Network{Prefixes: old}, c.news, c.wasOut)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(course{}), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Errorf("course (-want +got):\n%s", diff)
			}
		})
	}
}

// After an outage claims of machines that sleep are announced anew, four times;
// of one that wakes nothing is said, for it may be testing its addresses.
func TestClaimsAnnouncedAnew(t *testing.T) {
	for _, c := range []struct {
		outage, after time.Duration
	}{{10 * time.Millisecond, 0}, {time.Minute, answerTime}} {
		t.Run(c.outage.String(), func(t *testing.T) {
			overnight(t, nil, func(h *night) {
				sleeping := h.asleep(nas())
				h.pass(10 * time.Second)
				h.asleep(tv())
				h.frame(syn(tv4, 80))
				h.told(nas4)
				h.told(tv4)
				h.lose(h.n, time.Now(), "has no carrier")
				h.n.again = time.Time{} // the test says when it is back
				h.pass(c.outage)
				back := time.Now()
				h.inspect(h.n, lan.Change{})
				h.tick()
				h.pass(c.after)
				if owners := h.told(nas4); !slices.Equal(owners, []machine.MAC{h.n.MAC()}) {
					t.Errorf("announced at %v %v after the outage, want once", owners, time.Since(back))
				}
				h.pass(7*time.Second - time.Millisecond)
				if owners := h.told(nas4); len(owners) != 2 {
					t.Errorf("announced at %v in the next 7 s, want twice", owners)
				}
				h.pass(time.Millisecond)
				if owners := h.told(nas4); len(owners) != 1 {
					t.Errorf("announced at %v after 7 s, want once", owners)
				}
				if owners := h.told(tv4); owners != nil {
					t.Errorf("a machine that wakes is announced at %v", owners)
				}
				h.want(sleeping, machine.Asleep, nas4, nas6)
				if got := strings.Count(h.log.String(), "an interface is out:"); got != 1 {
					t.Errorf("said %d times that the interface is out", got)
				}
			})
		})
	}
}

// A machine that was started during the outage, and answers when it is asked, is
// not announced for.
func TestStartedDuringAnOutage(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		h.pass(10 * time.Second)
		h.told(nas4)
		h.lose(h.n, time.Now(), "has no carrier")
		h.n.again = time.Time{}
		h.pass(time.Minute)
		h.inspect(h.n, lan.Change{})
		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
		h.want(r, machine.Settling)
		h.pass(2 * time.Second)
		if owners := h.told(nas4); slices.Contains(owners, h.n.MAC()) {
			t.Errorf("announced at %v", owners)
		}
	})
}

// The porter says what is wrong with its interfaces, all of them.
func TestReadyTellsTheTruth(t *testing.T) {
	overnight(t, nil, func(h *night) {
		close(h.running)
		if err := h.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		other := h.open()
		h.lose(h.n, time.Now(), "has no carrier")
		h.lose(other, time.Now(), "is down")
		if err := h.Ready(); err == nil || err.Error() != "interface eth0 has no carrier; interface eth0 is down" {
			t.Errorf("ready: %v", err)
		}
		// Nobody registers a machine where it could not be looked at.
		if _, err := h.n.survey(); err == nil || !strings.Contains(err.Error(), "has no carrier") {
			t.Errorf("survey: %v", err)
		}
		h.inspect(h.n, lan.Change{})
		if err := h.Ready(); err == nil || err.Error() != "interface eth0 is down" {
			t.Errorf("ready: %v", err)
		}
	})
}

// A reader that ends by itself does not end the porter: its sockets are opened
// anew, and what they counted is not forgotten.
func TestReaderFails(t *testing.T) {
	network := labtest.New(t)
	host := network.Porter()
	conf := config.Default()
	conf.Interfaces = []string{lab.Interface}
	p, err := opened(host, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.work(ctx, host) }()
	<-p.Started()
	first := p.nics[0].link.Load()
	var counted atomic.Uint64
	if err := p.inLoop(ctx, func() {
		first.drops += 5 // of links before it
		counted.Store(p.Drops()[lab.Interface])
		first.failed <- errors.New("out of sorts")
		p.kick()
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not ready", func() bool {
		err := p.Ready()
		return err != nil && strings.Contains(err.Error(), "interface eth0 cannot be read: out of sorts")
	})
	eventually(t, "a new link", func() bool { return p.nics[0].link.Load() != first && p.Ready() == nil })
	if got := p.Drops()[lab.Interface]; got < counted.Load() || counted.Load() < 5 {
		t.Errorf("%d frames dropped, %d before", got, counted.Load())
	}
	// And somebody reads it.
	if err := network.Client().SendFrame(slices.Concat(machine.Broadcast[:], clientMAC[:], []byte{8, 6})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the frame that is cut off is counted", func() bool { return p.Rejected()[lab.Interface]["truncated"] == 1 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
