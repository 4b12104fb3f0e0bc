package e2e

import (
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// measureDelay lets a registered machine sleep and connects to it. It returns the time from the
// start of the service to the first connection.
func measureDelay(h *harness, m *lab.Machine) time.Duration {
	h.Helper()
	return max(0, wakeByClient(h, m).late)
}

// lateCall is a first connection to a machine that slept, and how it was served.
type lateCall struct {
	served
	late time.Duration // from the start of the service to the connection
	near bool          // the client repeated its SYN as the service came up
}

// wakeByClient lets a registered machine sleep and connects to it.
func wakeByClient(h *harness, m *lab.Machine) lateCall {
	h.Helper()
	n := h.daemon.Log.Len()
	h.must(m.Sleep(h.ctx))
	h.waitMove(n, m.Name(), "settling", "asleep", machine.WhySilent)
	atClient, atMachine := h.capturePort(h.lan.Client()), h.capturePort(m.Host)
	defer atClient.Close()
	defer atMachine.Close()
	c := h.call(h.lan.Client(), m, nas4, 22)
	h.waitMove(n, m.Name(), "arriving", "awake", machine.WhyReady)
	s, err := readServed(h.ctx, h, c, atClient, atMachine)
	h.must(err)
	up := lastUp(m, c.to)
	l := lateCall{served: s, late: c.ended.Sub(up), near: up.Before(c.began)}
	for _, f := range s.sent {
		l.near = l.near || f.Time.Sub(up).Abs() < tooNear
	}
	return l
}

// wantNoLater expects that the porter's replay makes the first connection to m, as without an
// attack. With -soak, where no other test runs, the connection also comes as soon as calm,
// which measureDelay returned before. An attack that takes the whole computer can delay the
// service until the client repeats its SYN. That proves nothing, and m sleeps once more.
func wantNoLater(h *harness, m *lab.Machine, calm time.Duration) {
	h.Helper()
	var l lateCall
	var err error
	for range 3 {
		l = wakeByClient(h, m)
		err = l.replayed(h.lan.Porter())
		h.Logf("the first connection came %v after the service, without attack %v", l.late.Round(10*time.Microsecond), calm.Round(10*time.Microsecond))
		if err == nil || !l.near {
			break
		}
		h.Logf("the client repeated its SYN just then: %v", err)
	}
	if err != nil {
		h.Errorf("%v", err)
	}
	if *soakFlag && l.late > calm+100*time.Millisecond {
		h.Errorf("the first connection came %v after the service, without attack %v", l.late, calm)
	}
}
