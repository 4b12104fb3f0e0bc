package porter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// outage has the interface be out for a while, and back.
func (x *fixture) outage(d time.Duration) {
	x.Helper()
	x.n.setUnavailable(time.Now(), "has no carrier")
	x.n.inspectAt = time.Time{} // the test says when it is back
	x.pass(d)
	linkKeeper{x.loop}.inspect(x.n, lan.Change{})
	x.turn()
}

// After an outage claims of machines that sleep are announced anew, four times;
// of one that wakes nothing is said, for it may be testing its addresses.
func TestClaimsAnnouncedAnew(t *testing.T) {
	for _, c := range []struct{ outage, after time.Duration }{{10 * time.Millisecond, 0}, {time.Minute, reprobeTimeout}} {
		t.Run(c.outage.String(), func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				sleeping := x.asleep(nas())
				x.pass(10 * time.Second)
				x.asleep(tv())
				x.hear(syn(tv4, 80))
				x.forgetSent()
				x.outage(c.outage)
				back := time.Now()
				x.pass(c.after)
				if owners := x.announced(nas4); !slices.Equal(owners, []ether.MAC{x.n.MAC()}) {
					t.Errorf("announced at %v %v after the outage, want once", owners, time.Since(back))
				}
				x.pass(7*time.Second - time.Millisecond)
				if owners := x.announced(nas4); len(owners) != 2 {
					t.Errorf("announced at %v in the next 7 s, want twice", owners)
				}
				x.pass(time.Millisecond)
				if owners := x.announced(nas4); len(owners) != 1 {
					t.Errorf("announced at %v after 7 s, want once", owners)
				}
				if owners := x.announced(tv4); owners != nil {
					t.Errorf("a machine that wakes is announced at %v", owners)
				}
				x.want(sleeping, machine.Asleep, nas4, nas6)
				if got := x.logged("interface unavailable"); got != 1 {
					t.Errorf("said %d times that the interface is out", got)
				}
			})
		})
	}
}

// A machine that was started during the outage is asked when it is over, answers,
// and is not announced for.
func TestStartedDuringAnOutage(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.pass(10 * time.Second)
		x.announced(nas4)
		x.up(nas())
		x.outage(time.Minute)
		x.pass(2 * time.Second)
		x.want(e, machine.Awake)
		if owners := x.announced(nas4); slices.Contains(owners, x.n.MAC()) {
			t.Errorf("announced at %v", owners)
		}
	})
}

// Clients that wait for a machine that arrives are pinned again after an outage.
func TestPinnedAfterAnOutage(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.up(nas())
		x.hear(syn(nas4, 22))
		x.pass(100 * time.Millisecond)
		x.want(e, machine.Arriving)
		x.done()
		x.outage(10 * time.Millisecond)
		x.pass(time.Millisecond)
		if got := x.done(); !slices.Contains(got, "point client to us") {
			t.Errorf("done %q", got)
		}
	})
}

// The porter says what is wrong with its interfaces, all of them.
func TestReadyTellsTheTruth(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		close(x.porter.running)
		if err := x.porter.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		other := x.again()
		x.n.setUnavailable(time.Now(), "has no carrier")
		other.setUnavailable(time.Now(), "is down")
		if err := x.porter.Ready(); err == nil || err.Error() != "interface eth0 has no carrier; interface eth0 is down" {
			t.Errorf("ready: %v", err)
		}
		// No machine registers where it could not be looked at.
		if _, err := x.n.readNetView(); err == nil || !strings.Contains(err.Error(), "has no carrier") {
			t.Errorf("readNetView: %v", err)
		}
		linkKeeper{x.loop}.inspect(x.n, lan.Change{})
		if err := x.porter.Ready(); err == nil || err.Error() != "interface eth0 is down" {
			t.Errorf("ready: %v", err)
		}
	})
}

// An interface that the kernel cannot be asked about for a while is no interface
// that is out, and what it told of meanwhile is acted upon later.
func TestFaultObserve(t *testing.T) {
	for _, fault := range kernelFaults {
		t.Run(fault.Error(), func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				e := x.asleep(nas())
				x.pass(10 * time.Second)
				x.announced(nas4)
				looks := 0
				x.n.observe = func() (lan.Observation, error) { looks++; return lan.Observation{}, fault }
				linkKeeper{x.loop}.inspect(x.n, lan.Change{LinkLost: true})
				x.pass(10 * time.Second)
				if looks != 11 {
					t.Errorf("looked %d times in 10 s, want once a second", looks)
				}
				x.want(e, machine.Asleep, nas4, nas6)
				if owners := x.announced(nas4); owners != nil || x.n.unavailable() != nil {
					t.Errorf("announced at %v, interface out: %v", owners, x.n.unavailable())
				}
				x.n.observe = x.n.observeKernel
				x.pass(inspectPause)
				if owners := x.announced(nas4); !slices.Equal(owners, []ether.MAC{x.n.MAC()}) {
					t.Errorf("announced at %v when it could be looked at, want once", owners)
				}
			})
		})
	}
}

// An interface that is removed and made again gets new sockets, and the
// solicited-node groups of before.
func TestInterfaceMadeAnew(t *testing.T) {
	network := labtest.New(t)
	withLoopOn(t, network.Porter(), func(c *config.Config) { c.Interfaces = []string{lab.Interface} }, func(x *fixture) {
		e := x.asleep(nas())
		first := x.n.link.Load()
		if err := x.host.RemoveLink(lab.Interface); err != nil {
			t.Fatal(err)
		}
		linkKeeper{x.loop}.linksChanged(lan.Changes{Everything: true})
		if err := x.n.unavailable(); err == nil || !strings.Contains(err.Error(), "is gone") {
			t.Errorf("out: %v", err)
		}
		x.want(e, machine.Asleep, nas4, nas6)
		if err := network.RestoreLink(x.host); err != nil {
			t.Fatal(err)
		}
		linkKeeper{x.loop}.linksChanged(lan.Changes{Everything: true})
		x.turn()
		x.pass(5 * time.Second)
		if second := x.n.link.Load(); second == first || x.n.unavailable() != nil {
			t.Errorf("out: %v", x.n.unavailable())
		} else if err := second.LeaveSolicitedNode(nas6); err != nil {
			t.Error(err)
		}
		x.want(e, machine.Asleep, nas4, nas6)
	})
}

// A reader that ends by itself does not end the porter: its sockets are opened
// anew, and what they counted is not forgotten.
func TestReaderFails(t *testing.T) {
	network := labtest.New(t)
	host := network.Porter()
	p := started(t, host, func(c *config.Config) { c.Interfaces = []string{lab.Interface} })
	cutOff := slices.Concat(ether.Broadcast[:], clientMAC[:], []byte{8, 6})
	counted := func(want uint64) {
		t.Helper()
		if err := network.Client().SendFrame(cutOff); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the frame that is cut off is counted", func() bool { return p.Rejected()[lab.Interface]["truncated"] == want })
	}
	counted(1)
	n := p.loop.nics[0]
	first, drops := n.link.Load(), p.Drops()[lab.Interface]
	if err := p.inLoop(context.Background(), func() {
		n.failed <- errors.New("out of sorts")
		p.loop.reportReaderFailure()
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not ready", func() bool {
		err := p.Ready()
		return err != nil && strings.Contains(err.Error(), "interface eth0 cannot be read: out of sorts")
	})
	eventually(t, "a new link", func() bool { return n.link.Load() != first && p.Ready() == nil })
	if got := p.Drops()[lab.Interface]; got < drops {
		t.Errorf("%d frames dropped, %d before", got, drops)
	}
	counted(2) // the new link is read, too
}
