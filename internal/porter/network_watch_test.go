package porter

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// The whole time from the first silence to the second, of a machine that never
// registers.
func TestSleepWithoutARegistration(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		up := x.up(nas())
		x.configured(agentless())
		e := x.machine(nas())
		x.pass(time.Minute)
		x.want(e, machine.Awake)
		x.down(up)
		x.pass(20 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		x.pass(time.Minute)
		x.hear(syn(nas4, 22))
		x.want(e, machine.Waking, nas4, nas6)
		x.pass(5 * time.Second)
		up = x.up(nas())
		up.open = []uint16{22}
		x.pass(100 * time.Millisecond)
		x.want(e, machine.Awake)
		x.pass(time.Minute)
		x.want(e, machine.Awake)
		x.down(up)
		x.pass(20 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		want := []string{
			"settling, nas, stopped answering, (awake)",
			"asleep, nas, fell silent, (asleep)",
			"knock, nas, 10.77.0.20:22/tcp, tcp, from 10.77.0.10:40000",
			"magic, nas, (waking)",
			"arrived, nas, up, (arriving)",
			"ready, nas, 10.77.0.20:22/tcp, tcp, ready, from 10.77.0.10:40000, boot 5s, (awake)",
			"settling, nas, stopped answering, (awake)",
			"asleep, nas, fell silent, (asleep)",
		}
		if diff := cmp.Diff(want, x.events.lines()); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// A machine that registered is watched while it is awake, as one that does not
// register is; with watch: false it is not.
func TestWatchedAfterARegistration(t *testing.T) {
	for _, unwatched := range []bool{false, true} {
		withLoop(t, nil, func(x *fixture) {
			conf := nas()
			conf.Unwatched = unwatched
			x.configured(conf)
			e := x.asleep(conf)
			up := x.up(nas())
			x.hear(arpUse(nasMAC, nas4))
			x.pass(11 * time.Minute) // for that long it may have been a pause in a shutdown
			x.want(e, machine.Awake)
			x.down(up)
			x.pass(20 * time.Second)
			if unwatched {
				x.pass(time.Hour)
				x.want(e, machine.Awake)
				return
			}
			x.want(e, machine.Asleep, nas4, nas6)
		})
	}
}

// What an awake machine exchanges with our own host does not pass the kernel
// filter for our sake, however much that is.
func TestAwakeMachineCostsNothing(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		up := x.up(nas())
		x.configured(agentless())
		e := x.machine(nas())
		wanted := func(state machine.State, macs, sent int) {
			t.Helper()
			v := x.n.reader.View()
			if a := v.Address(nas4); a == nil || a.Target() != e.target || e.State() != state {
				t.Errorf("%v: the reader does not know it", e.State())
			}
			if in := v.Interest(nil); len(in.MACs) != macs || len(in.Sent) != sent || len(in.Addrs) != 2 {
				t.Errorf("%v: the filter passes %+v", e.State(), in)
			}
		}
		wanted(machine.Awake, 0, 0)
		x.pass(time.Minute)
		wanted(machine.Awake, 0, 0)
		x.down(up)
		for e.State() == machine.Awake {
			x.pass(time.Second)
		}
		wanted(machine.Settling, 1, 2)
		x.pass(10 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		wanted(machine.Asleep, 1, 2)
		x.up(at(nas(), nas4))
		x.hear(arpUse(nasMAC, nas4))
		x.pass(10 * time.Second)
		wanted(machine.Awake, 1, 2) // the IPv6 address is not seen in use so far
		x.pass(30 * time.Second)
		wanted(machine.Awake, 0, 0)
	})
}

// A single answer that is lost is no sleep, nor are some: it did not say that it
// would sleep.
func TestLossIsNoSleep(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.configured(agentless())
		e := x.machine(nas())
		for i := range 100 {
			if i%3 == 0 { // two of three questions are not answered
				x.hear(lantest.ARPReply(nasMAC, x.n.MAC(), nas4, porter4))
			}
			x.pass(time.Second)
			if e.State() == machine.Asleep {
				t.Fatal("claimed")
			}
		}
	})
}

// That our own interface is out says nothing about a machine.
func TestWatchInAnOutage(t *testing.T) {
	for _, settling := range []bool{false, true} {
		withLoop(t, nil, func(x *fixture) {
			up := x.up(nas())
			x.configured(agentless())
			e, state := x.machine(nas()), machine.Awake
			x.pass(time.Minute)
			x.down(up)
			if settling {
				for state = machine.Settling; e.State() != state; {
					x.pass(time.Second)
				}
			}
			fault := x.n.faultError("has no carrier")
			x.n.fault.Store(&fault)
			x.pass(time.Hour)
			x.want(e, state)
			x.n.fault.Store(nil)
			x.pass(2 * time.Second)
			x.want(e, state)
			x.pass(30 * time.Second)
			x.want(e, machine.Asleep, nas4, nas6)
			if n := x.logged("cannot probe"); n != 1 {
				t.Errorf("said %d times that it cannot be asked", n)
			}
		})
	}
}

// A switch may be slow to let frames through after its link came up: that no
// machine answers meanwhile would have all of them claimed.
func TestWatchAfterAnOutage(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		up := x.up(nas())
		x.configured(agentless())
		e := x.machine(nas())
		x.pass(time.Minute)
		x.n.setUnavailable(time.Now(), "has no carrier")
		x.n.inspectAt = time.Time{} // the test says when it is back
		x.pass(time.Minute)
		x.down(up)
		linkKeeper{x.loop}.inspect(x.n, lan.Change{})
		x.turn()
		x.pass(switchPause)
		x.want(e, machine.Awake)
		x.pass(20 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
	})
}

// A machine that is up at another address than its own is not lost without a word.
func TestElsewhere(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(tv())
		x.up(at(tv(), unused4))
		x.hear(arpUse(tvMAC, unused4))
		x.pass(5 * time.Minute)
		x.want(e, machine.Awake)
		if x.logged("machine is up at another address") != 1 || !slices.ContainsFunc(x.events.lines(), func(s string) bool { return strings.HasPrefix(s, "elsewhere, tv, 10.77.0.99") }) {
			t.Errorf("history %q", x.events.lines())
		}
	})
}
