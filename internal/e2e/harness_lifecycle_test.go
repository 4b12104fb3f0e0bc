package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// restart starts the daemon again, with the state that the last run left.
func (h *harness) restart(conf string) {
	h.Helper()
	h.restartUntil(conf, "")
}

// restartUntil is restart, until a page answers with success; an empty page means readiness.
func (h *harness) restartUntil(conf, page string) {
	h.Helper()
	d, err := h.daemon.AgainUntil(h.ctx, conf, page)
	h.must(err)
	h.daemon = d
	h.killAtEnd(d)
}

// waitStored waits until the journal has a number of events of a kind. A transition without an
// acknowledgment is written a moment later.
func (h *harness) waitStored(kind string, count int) {
	h.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		b, err := os.ReadFile(filepath.Join(h.daemon.Dir(), "journal.jsonl"))
		h.must(err)
		if bytes.Count(b, []byte(`"kind":"`+kind+`"`)) >= count {
			return
		}
	}
	h.Fatalf("%q is not %d times in the journal", kind, count)
}

// waitReclaimed waits until a machine is claimed again after a restart.
func (h *harness) waitReclaimed(name string) labdaemon.Entry {
	h.Helper()
	return h.waitMove(0, name, "settling", "asleep", machine.WhySilent)
}

// waitAllMoved waits until count different machines have gone into a state, as logged after
// the first n entries. It returns when the last of them did.
func waitAllMoved(h *harness, n int, to string, count int) time.Time {
	h.Helper()
	seen := make(map[string]bool)
	e, err := h.daemon.Log.Wait(h.within(30*time.Second), n, func(e labdaemon.Entry) bool {
		if name := e.Field("machine"); labdaemon.Moved(name, "", to, "")(e) {
			seen[name] = true
		}
		return len(seen) == count
	})
	if err != nil {
		h.Fatalf("%d of %d machines became %s: %.2000v", len(seen), count, to, err)
	}
	return e.Time
}

// reload gives the daemon a new configuration, and waits for a message in the log.
func (h *harness) reload(conf, message string) labdaemon.Entry {
	h.Helper()
	n := h.daemon.Log.Len()
	h.must(h.daemon.Reconfigure(conf))
	h.must(h.daemon.Signal(syscall.SIGHUP))
	e, err := h.daemon.Log.Wait(h.within(5*time.Second), n, func(e labdaemon.Entry) bool { return e.Message == message })
	h.must(err)
	return e
}
