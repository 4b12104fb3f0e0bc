package porter

import (
	"testing"

	"nightporter/internal/machine"
)

func TestMonitored(t *testing.T) {
	const want = "10.77.0.20,22/tcp,27015/udp,icmp fd77::20,22/tcp,27015/udp,icmp"
	if got := monitored(nas()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The readers look out for a machine that has registered, more closely while it
// does not register.
func TestAttention(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.configured(nas())
		e := x.machine(nas())
		if e.attention != machine.ObserveNothing || e.managed() {
			t.Errorf("a machine that never registered has attention %d", e.attention)
		}
		e = x.asleep(nas())
		if e.attention != machine.ObserveAll || !e.managed() {
			t.Errorf("asleep it has attention %d", e.attention)
		}
		req := request(nas())
		req.Here = true
		x.up(nas())
		x.admitted(req, x.n)
		x.pass(30 * 1e9)
		if e.attention != machine.ObserveNeighbor {
			t.Errorf("awake it has attention %d", e.attention)
		}
	})
}
