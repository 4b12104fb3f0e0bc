package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

func TestStatusTable(t *testing.T) {
	url := servePorter(t, newTwoMachines(), web.Access{Token: "open sesame"}) // reading needs no token
	at, before := testTime.Local().Format(time.DateTime), testTime.Add(-24*time.Hour).Local().Format(time.DateTime)
	ago, agoBefore := web.Ago(testTime, time.Now()), web.Ago(testTime.Add(-24*time.Hour), time.Now())
	wide := func(cell, other string) string { return fmt.Sprintf("%-*s", len(other), cell) }
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "" +
			"porter 1.2.3 at " + strings.TrimPrefix(url, "http://") + ": ready, 1 of 2 machines asleep\n" +
			"MACHINE  STATE   " + wide("SINCE", ago) + "  SLEPT   SAVED    LAST WAKE\n" +
			"nas      asleep  " + wide(ago, "SINCE") + "  1h0m0s  2.0 kWh  " + wide(agoBefore, "LAST WAKE") + "  ! fd77::20 waiting\n" +
			"pc\uFFFD      awake   " + wide(ago, "SINCE") + "  0s      0.0 Wh   never\n"},
		{[]string{"nas"}, "" +
			"machine            nas\n" +
			"MAC                d8:cb:8a:39:be:a1\n" +
			"state              asleep\n" +
			"since              " + at + " (" + ago + ")\n" +
			"agentless          yes: it need not register\n" +
			"address            10.77.0.20 22/tcp icmp: claimed\n" +
			"address            fd77::20 (does not wake): waiting (it is out\uFFFD)\n" +
			"slept              1h0m0s (today 1h0m0s, last 7 days 8h0m0s)\n" +
			"saved              2.0 kWh (50 W awake, 2 W asleep)\n" +
			"last wake          " + before + " (" + agoBefore + "), for 10.77.0.10 at 10.77.0.20:22/tcp: ready, boot 12.3 s, ready 15.0 s\n" +
			"wakes              4 (api 1, tcp 3)\n" +
			"failed wakes       0\n" +
			"magic packets      7\n" +
			"knocks ignored     2 (quiet_hours 2)\n" +
			"ignored            10.77.0.20:22/tcp from 10.77.0.10, 2 times, last " + at + ": it was in wake.quiet_hours\n" +
			"external starts    8\n" +
			"address conflicts  9\n"},
	} {
		code, out, errs := runCommand(t, append([]string{"status", "--from", url}, tt.args...)...)
		if code != 0 || out != tt.want || errs != "" {
			t.Errorf("%q: exit code %d, %q, printed\n%swant\n%s", tt.args, code, errs, out, tt.want)
		}
	}
}

func TestStatusJSON(t *testing.T) {
	url := servePorter(t, newTwoMachines(), web.Access{})
	code, out, _ := runCommand(t, "status", "--from", url, "--json")
	for _, want := range []string{
		`"status": {`, `"version": "1.2.3"`, `"ready": true`, `"machines": [`, `"name": "nas"`, `"state": "asleep"`,
		`"last_wake": null`, `"slept_seconds": 3600`, `"22/tcp"`, `"quiet_hours": 2`,
	} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, %s lacks %s", code, out, want)
		}
	}
	if code, out, _ := runCommand(t, "status", "nas", "--from", url, "--json"); code != 0 || !strings.HasPrefix(out, "{\n  \"name\": \"nas\",\n") {
		t.Errorf("exit code %d, %s", code, out)
	}
}

func TestStatusFailures(t *testing.T) {
	h := newTwoMachines()
	h.ready, h.guard, h.storage = errors.New("eth0: no carrier"), guard.Status{Mode: "auto", Reason: "no nf_tables"}, journal.Health{Reason: "no space left"}
	url := servePorter(t, h, web.Access{})
	for _, args := range [][]string{nil, {"nas"}, {"--json"}} {
		code, out, errs := runCommand(t, append([]string{"status", "--from", url}, args...)...)
		const want = "guard: no nf_tables\njournal: no space left\nnightporter: the porter is not ready: eth0: no carrier\n"
		if code != 1 || !strings.Contains(out, "nas") || errs != want {
			t.Errorf("%q: exit code %d, printed %s%s; want 1, the machines, and %s", args, code, out, errs, want)
		}
	}
	h = newTwoMachines()
	h.machines = nil
	if code, out, errs := runCommand(t, "status", "--from", servePorter(t, h, web.Access{})); code != 0 || !strings.HasSuffix(out, ": ready, no machine yet\n") || errs != "" {
		t.Errorf("no machine: exit code %d, %q, %q", code, out, errs)
	}
}

// The list shows which machines did not wake.
func TestStatusOfAFailedWake(t *testing.T) {
	h := newTwoMachines()
	h.machines[1].LastWake.Outcome = machine.GivenUp
	url := servePorter(t, h, web.Access{})
	code, out, errs := runCommand(t, "status", "--from", url)
	if code != 0 || errs != "" || !contains(out, ": ready, 1 of 2 machines asleep, 1 did not wake\n", "nas      asleep, did not wake  ") {
		t.Errorf("exit code %d, %q, %s", code, errs, out)
	}
	if _, out, _ := runCommand(t, "status", "nas", "--from", url); !contains(out, "state              asleep, did not wake\n") {
		t.Errorf("of one: %s", out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	lines, _, _ := startWatch(t, ctx, "--from", url)
	seen := false
	for !seen && lines.Scan() {
		seen = strings.Contains(lines.Text(), "asleep, did not wake")
	}
	if !seen {
		t.Error("--watch does not show the failed wake")
	}
	cancel()
	for lines.Scan() { // until the command ends
	}
	m := web.Machine{State: machine.Asleep, WakeFailed: true}
	const red = "\x1b[31m"
	if got := (&statusFlags{color: true}).coloredState(&m); got != red+"asleep, did not wake"+colorOff {
		t.Errorf("on a terminal: %q", got)
	}
}

// The status shows only the latest ignored packets.
func TestStatusShowsSomeIgnored(t *testing.T) {
	h := newTwoMachines()
	for port := range uint16(5) {
		h.machines[1].Ignored = append(h.machines[1].Ignored, machine.Ignored{
			Reason: machine.PortNotRegistered, Service: machine.Service{Addr: h.machines[1].Monitor[0].IP, Port: machine.Port{Protocol: machine.UDP, Number: port}},
			First: testTime, Last: testTime, Count: 1,
		})
	}
	if _, out, _ := runCommand(t, "status", "nas", "--from", servePorter(t, h, web.Access{})); strings.Count(out, "\nignored ") != maxIgnored {
		t.Errorf("printed\n%s", out)
	}
}

// TestStatusClients: the clients with the most wakes, and how many others there are.
func TestStatusClients(t *testing.T) {
	s := newTwoMachines()
	at := func(minutes int) time.Time { return testTime.Add(time.Duration(minutes-600) * time.Minute) }
	wakes := func(minutes int, client, service string, outcome machine.Outcome) {
		s.history.Wakes = append(s.history.Wakes, journal.Wake{At: at(minutes), Client: client, Service: service, Outcome: outcome})
	}
	for i := range 3 {
		wakes(i, "10.77.0.10", "10.77.0.20:22/tcp", machine.Served)
	}
	wakes(3, "10.77.0.11", "", machine.Served)
	wakes(4, "10.77.0.11", "", machine.GivenUp)
	wakes(5, "", "", machine.Over)
	wakes(6, "cron\x1b", "", machine.Over)
	for i := range 3 {
		wakes(9-i, fmt.Sprint("10.77.0.", 20+i), "10.77.0.20:icmp", machine.Served)
	}
	s.history.More = 12
	code, out, errs := runCommand(t, "status", "nas", "--from", servePorter(t, s, web.Access{}))
	when := func(minutes int) string { return at(minutes).Local().Format(time.DateTime) }
	want := "" +
		"clients, 7 days    10.77.0.10: 3 wakes, last " + when(2) + " for 10.77.0.20:22/tcp\n" +
		"                   10.77.0.11: 2 wakes, last " + when(4) + " for the API\n" +
		"                   10.77.0.20: 1 wake, last " + when(9) + " for 10.77.0.20:icmp\n" +
		"                   10.77.0.21: 1 wake, last " + when(8) + " for 10.77.0.20:icmp\n" +
		"                   10.77.0.22: 1 wake, last " + when(7) + " for 10.77.0.20:icmp\n" +
		"                   and 2 more clients\n" +
		"                   and 12 older wakes, not kept one by one\n"
	if code != 0 || errs != "" || !strings.Contains(out, want) {
		t.Errorf("exit code %d, %q, printed\n%swant\n%s", code, errs, out, want)
	}
}

// TestStatusOfAnOlderPorter: an older porter sends no history.
func TestStatusOfAnOlderPorter(t *testing.T) {
	from, err := url.Parse(servePorter(t, newTwoMachines(), web.Access{}))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/history") {
			r.URL.Path = "/api/v1/nowhere"
		}
		http.Redirect(w, r, from.JoinPath(r.URL.Path).String(), http.StatusTemporaryRedirect)
	}))
	defer proxy.Close()
	if code, out, errs := runCommand(t, "status", "nas", "--from", proxy.URL); code != 0 || !strings.Contains(out, "wakes ") || errs != "" {
		t.Errorf("exit code %d, %q, printed %s", code, errs, out)
	}
}
