package porter

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// The journal tells of a whole sleep, and knows the machine after each transition.
func TestHistoryOfASleep(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.pass(57 * time.Second)
		x.hear(syn(nas4, 22))
		x.pass(5 * time.Second)
		x.up(nas()).open = []uint16{22}
		x.pass(100 * time.Millisecond)
		x.want(e, machine.Awake)
		x.dispatch(e, machine.WakeRequested{Trigger: machine.ByAPI, By: "test"})
		x.register(nas())
		x.forget(e, "test")
		want := []string{
			"registered, nas, registered, (settling)",
			"asleep, nas, fell silent, (asleep)",
			"knock, nas, 10.77.0.20:22/tcp, tcp, from 10.77.0.10:40000",
			"magic, nas, (waking)",
			"arrived, nas, up, (arriving)",
			"ready, nas, 10.77.0.20:22/tcp, tcp, ready, from 10.77.0.10:40000, boot 5s, (awake)",
			"asked, nas, test, api, while it counts as awake, (awake)",
			"registered, nas, registered, (settling)",
			"forgotten, nas, test",
		}
		if diff := cmp.Diff(want, x.events.lines()); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if last := x.events.last(); last.Forgotten != nasMAC {
			t.Errorf("the last record forgets %v", last.Forgotten)
		}
	})
}

// A count of knocks must not fall after a crash: each is stored at once, with the
// events of the moment, and these once.
func TestKnockIsStoredAtOnce(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(syn(nas4, 22))
		for _, p := range []*lan.Packet{datagram(nas4, game.Number), syn(nas6, 22), datagram(nas6, game.Number)} {
			x.hear(p)
		}
		lines := x.events.lines()
		want := []string{"knock, nas, 10.77.0.20:22/tcp, tcp, from 10.77.0.10:40000", "magic, nas, (waking)"}
		if diff := cmp.Diff(want, lines[2:]); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if n := len(x.events.records); n != len(lines)+1 {
			t.Errorf("%d records", n)
		}
		mem := x.events.last().Memory
		if mem.Knocks.Of(ssh) != 1 || mem.Knocks.Of(game) != 1 {
			t.Errorf("stored %v, known %v", mem.Knocks, e.Status().Knocks)
		}
	})
}
