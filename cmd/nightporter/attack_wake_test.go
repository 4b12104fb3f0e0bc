package main

import (
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// lateBy lets a registered machine sleep and connects to it. It returns how long after
// the start of the service that connection, the first, was there.
func (h *house) lateBy(m *lab.Machine) time.Duration {
	h.Helper()
	n := h.d.Log.Len()
	h.must(m.Sleep(h.ctx))
	h.moved(n, m.Name(), "settling", "asleep", machine.WhySilent)
	c := h.call(h.lan.Client(), m, nas4, 22)
	h.moved(n, m.Name(), "arriving", "awake", machine.WhyReady)
	return max(0, c.ended.Sub(lastUp(m, c.to)))
}

// wantNoLater has the first connection to m as soon as without an attack: calm is what
// lateBy returned then. The client repeats its SYN over 500 ms after the service is up, so
// within the limits only a replay serves it. A machine that tests share is slower.
func (h *house) wantNoLater(m *lab.Machine, calm time.Duration) {
	h.Helper()
	late, most := h.lateBy(m), time.Duration(soak(400, 100))*time.Millisecond
	h.Logf("the first connection came %v after the service, without attack %v", late.Round(10*time.Microsecond), calm.Round(10*time.Microsecond))
	if late > calm+most {
		h.Errorf("the first connection came %v after the service, without attack %v", late, calm)
	}
}
