package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// machineHistory returns the last week of nas from the API.
func machineHistory(h *harness) (all web.History) {
	h.Helper()
	status, body, err := h.daemon.Get(h.within(5*time.Second), "/api/v1/machines/nas/history")
	h.must(err)
	if status != 200 {
		h.Fatalf("answered %d: %s", status, body)
	}
	h.must(json.Unmarshal([]byte(body), &all))
	return all
}

// statesIn returns the states of all spans in order. A span over midnight counts once.
func statesIn(all web.History) (found []string) {
	for _, d := range all.Days {
		for _, s := range d.Spans {
			found = append(found, s.State.String())
		}
	}
	return slices.Compact(found)
}

// wakesIn returns all wakes: the client or the trigger, the service and the outcome.
func wakesIn(all web.History) (found []string) {
	for _, d := range all.Days {
		for _, w := range d.Wakes {
			who := w.Client
			if w.Service == "" {
				who = w.Trigger
			}
			found = append(found, fmt.Sprintf("%s %s %s", who, w.Service, w.Outcome))
		}
	}
	return found
}

// TestHistorySurvivesKill: two clients and the API wake a machine. The history has all of it
// after the porter was killed.
func TestHistorySurvivesKill(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	other, err := h.lan.AddHost("other", netip.MustParsePrefix("10.77.0.31/24"))
	h.must(err)
	wakes := []func(){
		func() { h.connect(h.lan.Client(), nas4, 22) },
		func() { h.connect(other, nas4, 22) },
		func() { h.connect(other, nas4, 22) },
		func() {
			_, _, err := h.daemon.Post(h.ctx, "/api/v1/machines/nas/wake")
			h.must(err)
		},
	}
	wantStates := []string{"awake"}
	for i, wake := range wakes {
		h.putToSleep(nas)
		h.waitStored("asleep", i+1) // a state that is shorter than a write is not stored
		n := h.daemon.Log.Len()
		wake()
		h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
		wantStates = append(wantStates, "asleep", "waking", "awake")
	}
	h.putToSleep(nas)
	wantStates = append(wantStates, "asleep")
	h.waitStored("asleep", len(wakes)+1)
	const service = "10.77.0.20:22/tcp"
	wantWakes := []string{"10.77.0.10 " + service + " ready", "10.77.0.31 " + service + " ready", "10.77.0.31 " + service + " ready", "api  ready"}
	check := func(when string) {
		t.Helper()
		all := machineHistory(h)
		if diff := cmp.Diff(wantWakes, wakesIn(all)); diff != "" {
			t.Errorf("wakes %s the restart (-want +got):\n%s", when, diff)
		}
		if diff := cmp.Diff(wantStates, statesIn(all)); diff != "" {
			t.Errorf("states %s the restart (-want +got):\n%s", when, diff)
		}
		if len(all.Clients) != 3 || all.Clients[0].Client != "10.77.0.31" || all.Clients[0].Wakes != 2 || all.Clients[0].Service != service {
			t.Errorf("clients %s the restart: %+v", when, all.Clients)
		}
	}
	check("before")
	h.daemon.Kill()
	h.restart(fastProbe)
	h.waitReclaimed("nas")
	check("after")
	if code, out := h.runCommand("status", "nas"); code != 0 || !strings.Contains(out, "clients, 7 days    10.77.0.31: 2 wakes, last ") {
		t.Errorf("status: exit code %d, printed\n%s", code, out)
	}
}
