package cli

import (
	"strings"
	"testing"
	"time"

	"nightporter/internal/web"
)

// The output has each topic once, and each setting below its line. Text from the network is
// printable.
func TestWhyCommand(t *testing.T) {
	at := testTime.Local().Format("15:04") + " (1 h ago)"
	yesterday := testTime.Add(-24*time.Hour).Local().Format("Mon 15:04") + " (25 h ago)"
	url := servePorter(t, newTwoMachines(), web.Access{Token: "open sesame"}) // reading needs no token
	code, out, errs := runCommand(t, "why", "nas", "--from", url)
	want := "" +
		"state      asleep since " + at + "; the porter answers for 1 of its 2 addresses\n" +
		"last wake  " + yesterday + ", for 10.77.0.10 at 10.77.0.20:22/tcp: ready after 15.0 s\n" +
		"wakes      22/tcp, icmp at 10.77.0.20\n" +
		"           programs of the porter's host do not wake it\n" +
		"             -> set wake.local: true, and restart nightporter\n" +
		"ignored    10.77.0.20:22/tcp from 10.77.0.10:40000, 2 times since " + at + ", last " + at + ": it was in wake.quiet_hours\n" +
		"             -> change wake.quiet_hours\n" +
		"address    fd77::20 is not claimed: it is out\uFFFD\n"
	if code != 0 || out != want || errs != "" {
		t.Errorf("exit code %d, %q, printed\n%swant\n%s", code, errs, out, want)
	}
	code, out, _ = runCommand(t, "why", "nas", "--from", url, "--json")
	for _, want := range []string{`"machine": "nas"`, `"topic": "ignored"`, `"hint": "set wake.local: true, and restart nightporter"`} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, %s lacks %s", code, out, want)
		}
	}
}
