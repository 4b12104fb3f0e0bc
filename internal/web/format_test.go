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
		d    time.Duration
		span string
	}{
		{-time.Second, "0 s"},
		{59*time.Second + 999*time.Millisecond, "59 s"},
		{time.Minute, "1 min"},
		{time.Hour, "1 h"},
		{9*time.Hour + 59*time.Minute, "9 h 59 min"},
		{47*time.Hour + 59*time.Minute, "47 h 59 min"},
		{2 * day, "2 d"},
		{2*day + 90*time.Minute, "2 d 1 h"},
		{400 * day, "400 d"},
	} {
		if got := web.Span(tt.d); got != tt.span {
			t.Errorf("%v: %q, want %q", tt.d, got, tt.span)
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
		"old journal": {machine.LastWake{At: at}, []string{"ended without the porter", "cause not recorded", "1 h ago"}},
		"under way": {machine.LastWake{At: at, Trigger: machine.ByAPI, By: "192.0.2.9:5000", Outcome: machine.UnderWay, Attempts: 2},
			[]string{"under way, 2 rounds of magic packets", "</span>requested by 192.0.2.9 · "}},
		"test": {machine.LastWake{At: at, Trigger: machine.ByAPI, By: "192.0.2.9:5000", Outcome: machine.Served, Ready: time.Second, Test: true},
			[]string{"ready in 1.0 s", "</span>a test requested by 192.0.2.9 · "}},
		"just begun": {machine.LastWake{At: at, Trigger: machine.BySchedule, By: "the schedule", Outcome: machine.UnderWay},
			[]string{">under way<", "</span>on schedule · "}},
		"unready": {machine.LastWake{At: at, Service: ssh, Source: netip.MustParseAddrPort("[2001:db8::9]:0"), Outcome: machine.Unready, Ready: time.Minute},
			[]string{">not ready after 60.0 s<", "</span>2001:db8::9 for ssh 22 · ", `class="out bad"`}},
		"failed": {machine.LastWake{At: at, Service: ssh, Outcome: machine.GivenUp, Attempts: 1},
			[]string{">did not wake: no answer to 1 round of magic packets<", "</span>an unknown client for ssh 22 · "}},
	} {
		t.Run(name, func(t *testing.T) {
			s := named("pc")
			s.LastWake = tt.wake
			page := ask(t, &fakeBackend{machines: []machine.Status{s}}, "GET", "/").Body.String()
			if !contains(page, tt.want...) {
				t.Errorf("the page lacks one of %q:\n%s", tt.want, page[strings.Index(page, "<summary"):strings.Index(page, "</summary")])
			}
		})
	}
}

// TestPageTellsWhatAnArrivingMachineIsWaitedFor, and not of a wake that was before.
func TestPageTellsWhatAnArrivingMachineIsWaitedFor(t *testing.T) {
	s := named("pc")
	s.State = machine.Arriving
	s.Arrival = machine.Arrival{Since: midnight.Add(7 * time.Second), Until: time.Now().Add(time.Minute), NotReady: []machine.Service{
		{Addr: netip.MustParseAddr("2001:db8::5"), Port: machine.Port{Protocol: machine.TCP, Number: 22}},
	}}
	const waits = "its service ssh (22/tcp) is not ready yet"
	for outcome, want := range map[machine.Outcome]string{machine.UnderWay: `">` + waits + "<", machine.Served: ">ready in 5.0 s<"} {
		s.LastWake = machine.LastWake{At: midnight, Trigger: machine.ByAPI, By: "192.0.2.9:5000", Outcome: outcome, Ready: 5 * time.Second}
		page := ask(t, &fakeBackend{machines: []machine.Status{s}}, "GET", "/").Body.String()
		if !contains(page, want, "it has answered for 3 s; "+waits+"; the porter waits until ") {
			t.Errorf("the page lacks %q:\n%s", want, page[strings.Index(page, "<summary"):strings.Index(page, "</summary")])
		}
	}
	s.Arrival.Since = midnight.Add(10 * time.Second)
	if page := ask(t, &fakeBackend{machines: []machine.Status{s}}, "GET", "/").Body.String(); !contains(page, "it answers; "+waits) {
		t.Error("a machine that has just come up is shown otherwise")
	}
}

// A day on which summer time ends has 25 hours, and no bar is higher than a day.
func TestPageShowsALongDay(t *testing.T) {
	s := named("pc")
	s.SleepLog = machine.SleepLog{{Date: "2025-12-31", Slept: 25 * time.Hour}, {Date: "2026-01-01", Slept: 6 * time.Hour}}
	page := ask(t, &fakeBackend{machines: []machine.Status{s}}, "GET", "/").Body.String()
	if !contains(page, `<title>Wed 2025-12-31: asleep 25 h</title>`, `y="0.0" width="10" height="32.0"`, `y="24.0" width="10" height="8.0"`, `>22 %<small>today 0 s</small>`) {
		t.Errorf("the bars are wrong:\n%s", page[strings.Index(page, "<summary"):strings.Index(page, "</summary")])
	}
}

// Times are as short as their distance allows.
func TestShortTimes(t *testing.T) {
	now := time.Date(2026, 3, 4, 10, 0, 0, 0, time.Local) // a Wednesday
	for _, tt := range []struct {
		at                time.Time
		shown, full, long string
	}{
		{now.Add(-time.Second), "09:59", "2026-03-04 09:59:59", "just now"},
		{now.Add(-10 * time.Hour), "00:00", "2026-03-04 00:00:00", "10 h ago"},
		{now.Add(-10*time.Hour - time.Second), "Tue 23:59", "2026-03-03 23:59:59", "10 h ago"},
		{now.AddDate(0, 0, -6), "Thu 10:00", "2026-02-26 10:00:00", "6 d ago"},
		{now.AddDate(0, 0, -7), "25 Feb", "2026-02-25 10:00:00", "7 d ago"},
		{now.AddDate(-1, 0, 0), "2025-03-04", "2025-03-04 10:00:00", "365 d ago"},
		{now.AddDate(0, 0, 1), "Thu 10:00", "2026-03-05 10:00:00", "just now"},
		{now.AddDate(0, 0, 7), "2026-03-11", "2026-03-11 10:00:00", "just now"},
	} {
		if shown, full, ago := web.Moment(tt.at, now); shown != tt.shown || full != tt.full || ago != tt.long {
			t.Errorf("%v: %q, %q, %q; want %q, %q, %q", tt.at, shown, full, ago, tt.shown, tt.full, tt.long)
		}
	}
}

// TestSumsSaySinceWhen: the page shows since when saved energy is counted.
func TestSumsSaySinceWhen(t *testing.T) {
	first, second := nas(), nas()
	second.Name, second.Counted = "tower", midnight.Add(-100*24*time.Hour)
	page := ask(t, &fakeBackend{machines: []machine.Status{first, second}}, "GET", "/").Body.String()
	if since := second.Counted.Format(time.RFC3339); !contains(page, `<dt>saved since <time datetime="`+since) {
		t.Errorf("the sum does not count from the first machine on, %s", since)
	}
	if since := first.Counted.Format(time.RFC3339); !contains(page, `<small>since <time datetime="`+since) {
		t.Errorf("the machine's own sum does not say since when: %s", since)
	}
	second.Counted = time.Time{} // of an older journal
	page = ask(t, &fakeBackend{machines: []machine.Status{first, second}}, "GET", "/").Body.String()
	if !contains(page, "<dt>saved so far</dt>") {
		t.Error("the sum says since when, though that is not known of each machine")
	}
}
