package e2e

import (
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// addHalfReady adds nas, which is registered for three services and has one, and puts it to
// sleep.
func addHalfReady(h *harness) *lab.Machine {
	h.Helper()
	nas := h.addNAS(func(c *lab.MachineConfig) { c.Services = []lab.ServiceConfig{{Network: "tcp", Port: 8000}} })
	h.register(nas.Host, registration("nas", nas.MAC(), monitored{nas4, []any{"22/tcp", "445/tcp", "8000/tcp"}}))
	h.must(nas.Sleep(h.ctx))
	h.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
	return nas
}

// TestTestCommandMachineInUse: a client that connects during a test has not woken the machine,
// and the test is not counted. The API and the commands name the services that are not ready.
func TestTestCommandMachineInUse(t *testing.T) {
	h := open(t, fastProbe+"hold: {ready_timeout: 5s}\n")
	nas := addHalfReady(h)
	test := startCommand(h, "test", "nas")
	const waits = "its services ssh (22/tcp) and smb (445/tcp) are not ready yet; the porter waits until "
	waitPrinted(h, test, "10.77.0.20:8000/tcp accepts connections")
	h.call(h.lan.Client(), nas, nas4, 8000)
	for _, command := range []string{"why", "status"} {
		if code, out := h.runCommand(command, "nas"); code != 0 || !contains(out, "it has answered for ", waits) {
			t.Errorf("%s: exit code %d, %s", command, code, out)
		}
	}
	a := shownNAS(h).Arrival
	if a == nil || len(a.NotReady) != 2 || a.NotReady[0] != "10.77.0.20:22/tcp" || a.NotReady[1] != "10.77.0.20:445/tcp" {
		t.Fatalf("the API shows %+v", a)
	}
	since, err := time.Parse(time.RFC3339, a.Since)
	h.must(err)
	if until, err := time.Parse(time.RFC3339, a.Until); err != nil || until.Sub(since).Round(time.Second) != 5*time.Second {
		t.Errorf("it waits from %s until %s", a.Since, a.Until)
	}
	wantExit(h, test, 1)
	if !contains(test.String(), " are not ready yet; the porter waits until ") {
		t.Errorf("the test printed\n%s", test)
	}
	wantUncounted(h)
	h.wantMetric(0, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
	h.wantMetric(0, `nightporter_machine_knocks_total{machine="nas", service="8000/tcp"}`)
	if shownNAS(h).Arrival != nil {
		t.Error("the API shows an arrival that is over")
	}
}

// TestWakeWaitsForTheServices: a requested wake ends when the services are ready, also without
// a client.
func TestWakeWaitsForTheServices(t *testing.T) {
	h := open(t, fastProbe)
	const slow = 1200 * time.Millisecond
	nas := h.addNAS(func(c *lab.MachineConfig) { c.Services[0].Delay = slow })
	h.putToSleep(nas)
	code, out := h.runCommand("wake", "nas", "--wait", "20s")
	if code != 0 || !contains(out, "is up, its services are not ready yet", "ready after ", "nas is awake after ") {
		t.Errorf("exit code %d, %s", code, out)
	}
	var up time.Time
	for _, e := range nas.Log() {
		// One address is enough for a service to be ready.
		if e.Kind == lab.ServiceUp && e.Service.Port == 22 && (up.IsZero() || e.Time.Before(up)) {
			up = e.Time
		}
	}
	if ready := h.events("nas", journal.Ready); len(ready) != 1 || ready[0].At.Before(up) || ready[0].Ready < slow {
		t.Errorf("SSH listens since %v, and %+v", up, ready)
	}
}

// TestWakeCommandNotReady: the command names the service that is not ready, and exits with 2.
func TestWakeCommandNotReady(t *testing.T) {
	h := open(t, fastProbe+"hold: {ready_timeout: 3s}\n")
	addHalfReady(h)
	const waits = "its services ssh (22/tcp) and smb (445/tcp) are not ready"
	if code, out := h.runCommand("wake", "nas", "--wait", "1500ms"); code != 2 || !contains(out, "nas answers, but after 1.5 s its services ssh (22/tcp)", "smb (445/tcp)") {
		t.Errorf("while it arrives: exit code %d, %s", code, out)
	}
	if code, out := h.runCommand("wake", "nas", "--wait", "20s"); code != 2 || !contains(out, "nas answers, but after ", waits, "handed over unready after hold.ready_timeout: "+waits) {
		t.Errorf("in the end: exit code %d, %s", code, out)
	}
	if left := h.events("nas", journal.Ready); len(left) != 1 || len(left[0].NotReady) != 2 || left[0].NotReady[0] != "10.77.0.20:22/tcp" {
		t.Errorf("%+v", left)
	}
}

// TestRequestedWakeTimeout: a machine that boots longer than its rounds of magic packets is no
// failure. A wake without an answer fails after wake.timeout.
func TestRequestedWakeTimeout(t *testing.T) {
	h := open(t, fastProbe+"wake: {attempts: 2, interval: 300ms, timeout: 4s}\n")
	nas := h.addNAS(func(c *lab.MachineConfig) { c.Boot = 2 * time.Second })
	h.putToSleep(nas)
	if code, out := h.runCommand("wake", "nas", "--wait", "20s"); code != 0 || !contains(out, "nas is awake after ") {
		t.Errorf("exit code %d, %s", code, out)
	}
	h.wantMetric(0, `nightporter_machine_wake_failures_total{machine="nas", trigger="api"}`)

	h.putToSleep(nas)
	nas.IgnoreMagic(lab.IgnoreAll)
	n := h.daemon.Log.Len()
	if code, out := h.runCommand("wake", "nas", "--wait", "20s"); code != 1 || !contains(out, "nas did not wake: no answer to ") {
		t.Errorf("a broken one: exit code %d, %s", code, out)
	}
	failed, err := h.daemon.Log.Wait(h.within(time.Second), n, labdaemon.Moved("nas", "waking", "asleep", string(machine.WhyAttemptsGone)))
	h.must(err)
	began := h.waitMove(n, "nas", "asleep", "waking", machine.WhyRequested)
	// The rounds alone last 0.6 s. A log line follows its event after a moment.
	if took := failed.Time.Sub(began.Time); took < 3*time.Second || took > 10*time.Second {
		t.Errorf("given up after %v, want wake.timeout of 4s", took)
	}
	h.wantMetric(1, `nightporter_machine_wake_failures_total{machine="nas", trigger="api"}`)
}
