package porter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

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
		if _, err := h.n.readNetView(); err == nil || !strings.Contains(err.Error(), "has no carrier") {
			t.Errorf("readNetView: %v", err)
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
	cutOff := slices.Concat(machine.Broadcast[:], clientMAC[:], []byte{8, 6})
	counted := func(want uint64) {
		t.Helper()
		if err := network.Client().SendFrame(cutOff); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the frame that is cut off is counted", func() bool { return p.Rejected()[lab.Interface]["truncated"] == want })
	}
	counted(1)
	first := p.nics[0].link.Load()
	drops := p.Drops()[lab.Interface]
	if err := p.inLoop(ctx, func() {
		p.nics[0].failed <- errors.New("out of sorts")
		p.kick()
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not ready", func() bool {
		err := p.Ready()
		return err != nil && strings.Contains(err.Error(), "interface eth0 cannot be read: out of sorts")
	})
	eventually(t, "a new link", func() bool { return p.nics[0].link.Load() != first && p.Ready() == nil })
	if got := p.Drops()[lab.Interface]; got < drops {
		t.Errorf("%d frames dropped, %d before", got, drops)
	}
	counted(2) // the new link is read, too
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
