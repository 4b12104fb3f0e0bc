package web

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// inZone returns a time of that zone, and skips the test where there are no zones.
func inZone(t *testing.T, zone, s string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Skipf("no time zones here: %v", err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", s, loc)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestStrips of a week in which summer time begins or ends.
func TestStrips(t *testing.T) {
	const berlin = "Europe/Berlin"
	whole := func(date string) stripDay {
		return stripDay{Date: date, Spans: []stripSpan{{From: 0, To: 24, State: "asleep"}}}
	}
	for _, c := range []struct {
		name, now string
		change    time.Time // asleep until then, awake since
		woken     time.Time
		want      []stripDay
	}{
		{"an ordinary week", "2026-11-22 18:30", inZone(t, berlin, "2026-11-21 06:15"), inZone(t, berlin, "2026-11-21 06:15"), []stripDay{
			whole("2026-11-16"), whole("2026-11-17"), whole("2026-11-18"), whole("2026-11-19"), whole("2026-11-20"),
			{Date: "2026-11-21", Spans: []stripSpan{{0, 6.25, "asleep"}, {6.25, 24, "awake"}}, Wakes: []float64{6.25}},
			{Date: "2026-11-22", Spans: []stripSpan{{0, 18.5, "awake"}}},
		}},
		{"a day of 23 h", "2026-03-30 03:00", inZone(t, berlin, "2026-03-29 06:00"), inZone(t, berlin, "2026-03-29 01:30"), []stripDay{
			whole("2026-03-24"), whole("2026-03-25"), whole("2026-03-26"), whole("2026-03-27"), whole("2026-03-28"),
			{Date: "2026-03-29", Spans: []stripSpan{{0, 6, "asleep"}, {6, 24, "awake"}}, Wakes: []float64{1.5}},
			{Date: "2026-03-30", Spans: []stripSpan{{0, 3, "awake"}}},
		}},
		{"a day of 25 h", "2026-10-26 03:00", inZone(t, berlin, "2026-10-25 06:00"), inZone(t, berlin, "2026-10-25 23:45"), []stripDay{
			whole("2026-10-20"), whole("2026-10-21"), whole("2026-10-22"), whole("2026-10-23"), whole("2026-10-24"),
			{Date: "2026-10-25", Spans: []stripSpan{{0, 6, "asleep"}, {6, 24, "awake"}}, Wakes: []float64{23.75}},
			{Date: "2026-10-26", Spans: []stripSpan{{0, 3, "awake"}}},
		}},
		{"a change in the hour that comes twice", "2026-10-25 12:00", inZone(t, berlin, "2026-10-25 01:30").Add(2 * time.Hour), inZone(t, berlin, "2026-10-25 06:00"), []stripDay{
			whole("2026-10-19"), whole("2026-10-20"), whole("2026-10-21"), whole("2026-10-22"), whole("2026-10-23"), whole("2026-10-24"),
			{Date: "2026-10-25", Spans: []stripSpan{{0, 2.5, "asleep"}, {2.5, 12, "awake"}}, Wakes: []float64{6}},
		}},
		{"a day that begins at 1 o'clock", "2026-03-08 12:00", inZone(t, "America/Havana", "2026-03-08 06:00"), inZone(t, "America/Havana", "2026-03-08 06:00"), []stripDay{
			whole("2026-03-02"), whole("2026-03-03"), whole("2026-03-04"), whole("2026-03-05"), whole("2026-03-06"), whole("2026-03-07"),
			{Date: "2026-03-08", Spans: []stripSpan{{1, 6, "asleep"}, {6, 12, "awake"}}, Wakes: []float64{6}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := inZone(t, c.change.Location().String(), c.now)
			h := journal.MachineHistory{
				Spans: []journal.Span{
					{From: now.AddDate(0, 0, -8).UTC(), To: c.change.UTC(), Phase: journal.PhaseAsleep},
					{From: c.change.UTC(), To: now.UTC(), Phase: journal.PhaseAwake},
				},
				Wakes: []journal.Wake{{At: c.woken.UTC()}},
			}
			days := h.Days(now)
			if diff := cmp.Diff(c.want, stripDays(days[:], now.Location())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestStripsAreInOrder: whatever the history is and wherever the porter is, spans
// follow each other within the day, and no wake is lost.
func TestStripsAreInOrder(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia"}
	rapid.Check(t, func(t *rapid.T) {
		loc, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Skip("no time zones here")
		}
		now := time.Unix(rapid.Int64Range(1_700_000_000, 1_800_000_000).Draw(t, "now"), 0).In(loc)
		var h journal.MachineHistory
		at := now.Add(-8 * 24 * time.Hour)
		for i := 0; at.Before(now); i++ {
			to := at.Add(time.Duration(rapid.IntRange(1, 40_000).Draw(t, "seconds")) * time.Second)
			if to.After(now) {
				to = now
			}
			h.Spans = append(h.Spans, journal.Span{From: at, To: to, Phase: journal.Phases[i%4]})
			h.Wakes = append(h.Wakes, journal.Wake{At: at})
			at = to
		}
		wakes, first := 0, machine.LastDays(now)[0].From
		days := h.Days(now)
		for _, d := range stripDays(days[:], now.Location()) {
			end := 0.0
			for _, s := range d.Spans {
				if s.From < end || s.To <= s.From || s.To > 24 {
					t.Fatalf("%s: %v", d.Date, d.Spans)
				}
				end = s.To
			}
			for _, at := range d.Wakes {
				if at < 0 || at >= 24 {
					t.Fatalf("%s: a wake at %v", d.Date, at)
				}
			}
			wakes += len(d.Wakes)
		}
		for _, w := range h.Wakes {
			if !w.At.Before(first) {
				wakes--
			}
		}
		if wakes != 0 {
			t.Fatalf("%d wakes too many", wakes)
		}
	})
}

func TestWakesByClient(t *testing.T) {
	now := time.Date(2026, 1, 8, 12, 0, 0, 0, time.UTC)
	at := func(hours int) time.Time { return now.Add(time.Duration(-hours) * time.Hour) }
	h := journal.MachineHistory{Wakes: []journal.Wake{
		{At: at(200), Client: "192.0.2.7", Service: "192.0.2.5:22/tcp"}, // more than a week ago
		{At: at(50), Client: "192.0.2.9", Service: "192.0.2.5:22/tcp"},
		{At: at(40), Client: "192.0.2.7", Service: "192.0.2.5:445/tcp"},
		{At: at(30), Client: "192.0.2.8"},
		{At: at(20), Client: "192.0.2.9"},
		{At: at(10), Client: ""},
	}}
	want := []clientWakes{
		{"192.0.2.9", 2, at(20), ""}, {"", 1, at(10), ""}, {"192.0.2.8", 1, at(30), ""}, {"192.0.2.7", 1, at(40), "192.0.2.5:445/tcp"},
	}
	days := h.Days(now)
	if diff := cmp.Diff(want, wakesByClient(days[:])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
