package main

import (
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
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

// wantNoLater has the first connection to m by the porter's replay, as without an attack.
// With -soak, where a test has the computer for itself, it is as soon, too: calm is what
// lateBy returned then.
func (h *house) wantNoLater(m *lab.Machine, calm time.Duration) {
	h.Helper()
	atMachine := h.capturePort(m.Host)
	late := h.lateBy(m)
	h.Logf("the first connection came %v after the service, without attack %v", late.Round(10*time.Microsecond), calm.Round(10*time.Microsecond))
	syns := 0
	for _, f := range atMachine.Frames() {
		var p lan.Packet
		if p.Parse(f.Data) == lan.Accepted && p.Kind == lan.TCP && p.SYN() && p.From == h.lan.Client().Addr4() && f.Src() == h.lan.Client().MAC() {
			syns++
		}
	}
	if syns > 0 {
		h.Errorf("the machine got %d SYNs of the client itself", syns)
	}
	if *soakFlag && late > calm+100*time.Millisecond {
		h.Errorf("the first connection came %v after the service, without attack %v", late, calm)
	}
}
