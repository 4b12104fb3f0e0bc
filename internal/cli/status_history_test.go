package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// TestStatusTellsWhoWoke: the clients with most wakes, and how many more there are.
func TestStatusTellsWhoWoke(t *testing.T) {
	s := twoMachines()
	at := func(minutes int) time.Time { return evening.Add(time.Duration(minutes-600) * time.Minute) }
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
	code, out, errs := program(t, "status", "nas", "--from", staff(t, s, web.Access{}))
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

// TestStatusOfAnOlderPorter, which does not know of that.
func TestStatusOfAnOlderPorter(t *testing.T) {
	from, err := url.Parse(staff(t, twoMachines(), web.Access{}))
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
	if code, out, errs := program(t, "status", "nas", "--from", proxy.URL); code != 0 || !strings.Contains(out, "wakes ") || errs != "" {
		t.Errorf("exit code %d, %q, printed %s", code, errs, out)
	}
}
