package e2e

import (
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// TestAWakeThatWasAskedForEnds: also where the machine goes off again each time before a
// service that never listens.
func TestAWakeThatWasAskedForEnds(t *testing.T) {
	h := open(t, fastProbe+"wake: {attempts: 1, interval: 3s, timeout: 4s}\n")
	nas := addHalfReady(h)
	if _, _, err := h.daemon.Post(h.ctx, "/api/v1/machines/nas/wake"); err != nil {
		t.Fatal(err)
	}
	for len(h.events("nas", journal.Failed)) == 0 {
		if shownNAS(h).State == machine.Arriving {
			_ = nas.Sleep(h.ctx) // an error: it is not up any more
		}
		pauseOrFail(h, 100*time.Millisecond)
	}
	if n := h.events("nas", journal.Arrived); len(n) == 0 {
		t.Error("it never arrived, which shows nothing")
	}
}

// TestWakeCommandIsToldOfEachFailure: a wake that fails a second time ends the command as
// the first one does.
func TestWakeCommandIsToldOfEachFailure(t *testing.T) {
	h := open(t, fastProbe+"wake: {attempts: 2, interval: 300ms, timeout: 600ms}\n")
	h.putToSleep(h.addNAS(func(c *lab.MachineConfig) { c.IgnoreMagic = lab.IgnoreAll }))
	for range 2 {
		if code, out := h.runCommand("wake", "nas", "--wait", "30s"); code != 1 {
			t.Errorf("exit code %d: %s", code, out)
		}
	}
}
