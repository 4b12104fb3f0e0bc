package web_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/web"
)

func TestFigures(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		d            time.Duration
		span, amount string
	}{
		{-time.Second, "0 s", "0 s"},
		{59*time.Second + 999*time.Millisecond, "59 s", "59 s"},
		{time.Minute, "1 min", "1 min"},
		{time.Hour, "1 h", "1 h"},
		{9*time.Hour + 59*time.Minute, "9 h 59 min", "9 h 59 min"},
		{47*time.Hour + 59*time.Minute, "47 h 59 min", "47 h"},
		{2 * day, "2 d", "48 h"},
		{2*day + 90*time.Minute, "2 d 1 h", "49 h"},
		{400 * day, "400 d", "9600 h"},
	} {
		if span, amount := web.Span(tt.d), web.Amount(tt.d); span != tt.span || amount != tt.amount {
			t.Errorf("%v: %q and %q, want %q and %q", tt.d, span, amount, tt.span, tt.amount)
		}
	}
	for joules, want := range map[float64]string{
		0: "0.0 Wh", 3600: "1.0 Wh", 360_000: "100 Wh", 3_600_000: "1.0 kWh", 360_000_000: "100 kWh",
	} {
		if got := web.Energy(joules); got != want {
			t.Errorf("%v J: %q, want %q", joules, got, want)
		}
	}
}

func TestPageTellsLastWakes(t *testing.T) {
	at := midnight.Add(-time.Hour)
	ssh := machine.Service{Addr: netip.MustParseAddr("2001:db8::5"), Port: machine.Port{Protocol: machine.TCP, Number: 22}}
	for name, tt := range map[string]struct {
		wake machine.LastWake
		want []string
	}{
		"old journal": {machine.LastWake{At: at}, []string{"ended without the porter", "nobody knows for whom", "1 h ago"}},
		"under way": {machine.LastWake{At: at, Trigger: machine.ByAPI, By: "192.0.2.9:5000", Outcome: machine.UnderWay, Attempts: 2},
			[]string{"under way, 2 magic packets", ">asked for by 192.0.2.9<"}},
		"just begun": {machine.LastWake{At: at, Trigger: machine.BySchedule, By: "the schedule", Outcome: machine.UnderWay},
			[]string{">under way<", ">on schedule<"}},
		"unready": {machine.LastWake{At: at, Service: ssh, Source: netip.MustParseAddrPort("[2001:db8::9]:0"), Outcome: machine.Unready, Ready: time.Minute},
			[]string{">not ready after 60.0 s<", ">2001:db8::9 for 22/tcp<", `class="bad"`}},
		"failed": {machine.LastWake{At: at, Service: ssh, Outcome: machine.GivenUp, Attempts: 1},
			[]string{">failed after 1 magic packet<", ">somebody for 22/tcp<"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := named("pc")
			s.LastWake = tt.wake
			page := ask(t, &house{machines: []machine.Status{s}}, "GET", "/").Body.String()
			if !contains(page, tt.want...) {
				t.Errorf("the page lacks one of %q:\n%s", tt.want, page[strings.Index(page, "<tbody"):strings.Index(page, "</tbody")])
			}
		})
	}
}

// A day on which summer time ends has 25 hours, and no bar is higher than a day.
func TestPageShowsALongDay(t *testing.T) {
	s := named("pc")
	s.Diary = machine.Diary{{Date: "2025-12-31", Slept: 25 * time.Hour}, {Date: "2026-01-01", Slept: 6 * time.Hour}}
	page := ask(t, &house{machines: []machine.Status{s}}, "GET", "/").Body.String()
	if !contains(page, `<title>2025-12-31: 25 h</title>`, `y="0.0" width="10" height="32.0"`, `y="24.0" width="10" height="8.0"`, "</small> 31 h<") {
		t.Errorf("the bars are wrong:\n%s", page[strings.Index(page, "<tbody"):strings.Index(page, "</tbody")])
	}
}
