package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"nightporter/internal/hosttest"
	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// TestFaultDiskFull: while the disk is full, no registration is acknowledged. What was
// acknowledged before survives kill -9, and everything else works. Registrations work again
// once the disk has room.
func TestFaultDiskFull(t *testing.T) {
	t.Parallel()
	ctx, lan := newLAN(t)
	disk := hosttest.New(t, "128k")
	dir := disk.Dir + "/porter"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	h := openIn(ctx, t, lan, dir, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	h.waitStored("asleep", 1)
	free := disk.Fill()

	pc := addRegisteringMachine(h, 1)
	acknowledged := registerUntilRefused(h, pc)
	if status, body, err := h.daemon.Get(h.within(5*time.Second), "/-/ready"); err != nil || status != 200 {
		t.Errorf("/-/ready answered %d %s, %v: it is about the network", status, body, err)
	}
	wantJournalHealth(h, false)

	// A sleeping machine is still claimed, woken, and claimed again, although its registration
	// is refused.
	h.connect(h.lan.Client(), nas4, 22)
	h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
	n := h.daemon.Log.Len()
	answer, err := h.daemon.Register(h.within(10*time.Second), nas.Host, nasRegistration(nas))
	h.must(err)
	if answer == "OK." {
		t.Error("OK. on a full disk")
	}
	h.must(nas.Sleep(h.ctx))
	h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
	h.wantNeighbor(h.lan.Client(), nas4, h.lan.Porter().MAC())

	h.daemon.Kill()
	h.restart(fastProbe)
	h.waitReclaimed("nas")
	if acknowledged != "" && knownServices(h, pc.Name()) != acknowledged {
		t.Errorf("%s is known for %s, and was answered OK. for %s", pc.Name(), knownServices(h, pc.Name()), acknowledged)
	}
	wantJournalHealth(h, false)
	free()
	h.register(pc.Host, registration(pc.Name(), pc.MAC(), monitored{pc.Addr4(), []any{"9/tcp"}}))
	wantJournalHealth(h, true)
	h.daemon.Kill()
	h.restart(fastProbe)
	if got := knownServices(h, pc.Name()); got != pc.Addr4().String()+" [9/tcp]" {
		t.Errorf("after there was room %s is known for %s", pc.Name(), got)
	}
	h.waitReclaimed("nas")
	if got := h.connect(h.lan.Client(), nas6, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
}

// addRegisteringMachine adds a machine that only registers.
func addRegisteringMachine(h *harness, n int) *lab.Machine {
	h.Helper()
	m, err := h.lan.AddMachine(lab.MachineConfig{
		Name: fmt.Sprint("pc", n), Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(60 + n)}), 24)},
	})
	h.must(err)
	return m
}

// registerUntilRefused registers a machine repeatedly, each time for another service, until the
// disk is full: its last page may still have room. It returns what was acknowledged last.
func registerUntilRefused(h *harness, m *lab.Machine) (acknowledged string) {
	h.Helper()
	for port := 1000; port < 1040; port++ {
		service := fmt.Sprint(port, "/tcp")
		answer, err := h.daemon.Register(h.within(10*time.Second), m.Host, registration(m.Name(), m.MAC(), monitored{m.Addr4(), []any{service}}))
		h.must(err)
		if answer != "OK." {
			if !contains(answer, "cannot store the registration", "no space left on device") {
				h.Errorf("refused with %q", answer)
			}
			return acknowledged
		}
		acknowledged = fmt.Sprintf("%v [%s]", m.Addr4(), service)
	}
	h.Fatal("the disk does not get full")
	return ""
}

// wantJournalHealth compares the metric, the API and the log about the journal.
func wantJournalHealth(h *harness, healthy bool) {
	h.Helper()
	const lost, found = "cannot write the journal, a restart would lose data: retrying", "the journal is written again"
	value, lines := 0.0, map[string]int{lost: 1}
	if healthy {
		value, lines[found] = 1, 1
	}
	deadline := time.Now().Add(10 * time.Second)
	for h.metric("nightporter_journal_healthy") != value && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond) // after a start the first write shows the health
	}
	h.wantMetric(value, "nightporter_journal_healthy")
	_, body, err := h.daemon.Get(h.within(5*time.Second), "/api/v1/status")
	h.must(err)
	var status struct {
		Journal struct {
			Healthy bool
			Reason  string
		}
	}
	h.must(json.Unmarshal([]byte(body), &status))
	if s := status.Journal; s.Healthy != healthy || healthy == strings.Contains(s.Reason, "no space left on device") {
		h.Errorf("/api/v1/status says %s", body)
	}
	for message, want := range lines {
		if got := strings.Count(h.daemon.Log.Text(), `"msg":"`+message+`"`); got != want {
			h.Errorf("the log says %q %d times, want %d", message, got, want)
		}
	}
}

// knownServices returns the services of a machine from the API: its addresses in the order of
// the registration, each with its ports.
func knownServices(h *harness, name string) string {
	h.Helper()
	status, body, err := h.daemon.Get(h.within(5*time.Second), "/api/v1/machines/"+name)
	h.must(err)
	if status == 404 {
		return "nothing"
	}
	var m struct {
		Monitor []struct {
			IP   netip.Addr
			Port []string
		}
	}
	h.must(json.Unmarshal([]byte(body), &m))
	var texts []string
	for _, a := range m.Monitor {
		texts = append(texts, fmt.Sprintf("%v %v", a.IP, a.Port))
	}
	return strings.Join(texts, ", ")
}
