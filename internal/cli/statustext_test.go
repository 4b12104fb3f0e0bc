package cli

import (
	"strings"
	"testing"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// TestWarnConfig: each error of a configuration has a line.
func TestWarnConfig(t *testing.T) {
	var out strings.Builder
	at := time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)
	warnConfig(&out, web.ConfigState{Reason: "wake.attempts: found 0; machines[0].mac: found \"x\"; and 2 more", Loaded: at})
	const want = "configuration not reloaded; the porter still uses the configuration from 2026-01-02 12:00:00:\n" +
		"  wake.attempts: found 0\n  machines[0].mac: found \"x\"\n  and 2 more\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// TestCountedSince: the list says since when its sums count.
func TestCountedSince(t *testing.T) {
	of := func(times ...string) (all []web.Machine) {
		for _, at := range times {
			all = append(all, web.Machine{CountedSince: at})
		}
		return all
	}
	noon, afternoon, later := "2026-01-02T12:00:00Z", "2026-01-02T12:30:00Z", "2026-03-04T12:00:00Z"
	for _, c := range []struct {
		machines []web.Machine
		want     string
	}{
		{of(noon), "SLEPT and SAVED count since 2026-01-02"},
		{of(afternoon, noon), "SLEPT and SAVED count since 2026-01-02"},
		{of(later, noon), "SLEPT and SAVED count since each machine was first known, the first on 2026-01-02, the last on 2026-03-04"},
		{of(noon, ""), ""}, // an older porter or journal has no time
	} {
		if got := countedSince(c.machines); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// The list marks a machine with addresses that cannot be claimed. An older porter does not
// send their standing.
func TestAddressMarks(t *testing.T) {
	conceded := web.Standing{IP: "10.77.0.20", Standing: machine.Conceded, Reason: "another host uses it"}
	waiting := web.Standing{IP: "fd77::20", Standing: machine.Waiting, Reason: "no network"}
	own := web.Standing{IP: "10.77.0.21"}
	for _, tt := range []struct {
		all  []web.Standing
		want string
	}{
		{nil, ""},
		{[]web.Standing{own}, ""},
		{[]web.Standing{own, conceded}, "! 10.77.0.20 conceded"},
		{[]web.Standing{waiting, own, conceded}, "! 2 addresses cannot be claimed"},
	} {
		if got := strings.Join(warningCell(&web.Machine{Addresses: tt.all}), " "); got != tt.want {
			t.Errorf("%v: marked %q, want %q", tt.all, got, tt.want)
		}
	}
	all := []web.Standing{own, conceded}
	for ip, want := range map[string]string{"10.77.0.21": ": own", "10.77.0.20": ": conceded (another host uses it)", "10.77.0.22": ""} {
		if got := standingText(all, ip); got != want {
			t.Errorf("%s stands %q, want %q", ip, got, want)
		}
	}
	if got, want := strings.Join(warningCell(&web.Machine{Awaits: true, Addresses: []web.Standing{conceded}}), " "), "! waits for its first registration"; got != want {
		t.Errorf("marked %q, want %q", got, want)
	}
}
