package wakefilter_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests, wherever they run

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/wakefilter"
)

func TestParseHours(t *testing.T) {
	for _, c := range []struct {
		text string
		want wakefilter.Hours
	}{
		{"", nil},
		{"  ", nil},
		{"23:00-07:00", wakefilter.Hours{{From: 1380, To: 420}}},
		{"9:05-17:30", wakefilter.Hours{{From: 545, To: 1050}}},
		{" 22:00 - 24:00 ,00:00-06:00", wakefilter.Hours{{From: 1320, To: 1440}, {From: 0, To: 360}}},
		{"00:00-24:00", wakefilter.Hours{{From: 0, To: 1440}}},
		{"22:00-00:00", wakefilter.Hours{{From: 1320, To: 0}}},
		{"01:00-03:00,02:00-04:00", wakefilter.Hours{{From: 60, To: 180}, {From: 120, To: 240}}},
	} {
		got, err := wakefilter.ParseHours(c.text)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", c.text, err, diff)
		}
	}
}

func TestBadHours(t *testing.T) {
	for _, text := range []string{
		"always", "23:00", "23:00-", "-07:00", "23-7", "23:00-07:00,", ",", "23:00/07:00",
		"24:00-07:00", "23:00-24:01", "25:00-26:00", "12:60-13:00", "1:5-2:00", "001:00-02:00", "+1:00-02:00", "-1:00-02:00",
		"07:00-07:00", "00:00-00:00", "24:00-24:00", "23:00-07:00-08:00", "２３:00-07:00",
		strings.Repeat("01:00-02:00,", 24) + "01:00-02:00",
	} {
		if got, err := wakefilter.ParseHours(text); err == nil {
			t.Errorf("%q was read as %q", text, got)
		}
	}
}

// zone loads a time zone.
func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func parse(t testing.TB, text string) wakefilter.Hours {
	t.Helper()
	h, err := wakefilter.ParseHours(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHoursContain(t *testing.T) {
	for _, c := range []struct{ hours, in, out string }{
		{"", "", "00:00:00 12:00:00 23:59:59"},
		{"00:00-24:00", "00:00:00 12:00:00 23:59:59", ""},
		{"13:00-14:30", "13:00:00 14:29:59", "12:59:59 14:30:00 01:00:00"},
		{"23:00-07:00", "23:00:00 23:59:59 00:00:00 06:59:59", "22:59:59 07:00:00 12:00:00"},
		{"22:00-24:00", "22:00:00 23:59:59", "21:59:59 00:00:00"},
		{"22:00-00:00", "22:00:00 23:59:59", "21:59:59 00:00:00"},
		{"13:00-14:00, 23:00-07:00", "13:30:00 03:00:00", "12:00:00 14:00:00 22:00:00"},
	} {
		h := parse(t, c.hours)
		for want, clocks := range map[bool]string{true: c.in, false: c.out} {
			for clock := range strings.FieldsSeq(clocks) {
				at, err := time.Parse(time.DateTime, "2026-11-22 "+clock)
				if err != nil {
					t.Fatal(err)
				}
				if h.Contains(at) != want {
					t.Errorf("%s in %q: %t", clock, c.hours, !want)
				}
			}
		}
	}
}

// The hours are those of the time's own zone.
func TestHoursAreLocal(t *testing.T) {
	at := time.Date(2026, 11, 22, 22, 30, 0, 0, time.UTC)
	h := parse(t, "23:00-07:00")
	if h.Contains(at) || !h.Contains(at.In(zone(t, "Europe/Berlin"))) {
		t.Error("22:30 in London is 23:30 in Berlin")
	}
}

// When the clocks change, an hour is missing or there twice; the hours last as
// long as the clock shows them, and then they end.
func TestHoursWhenTheClocksChange(t *testing.T) {
	for _, c := range []struct {
		name, zone, hours string
		noon              time.Time // before the night
		want              time.Duration
	}{
		{"an ordinary night", "Europe/Berlin", "23:00-07:00", time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC), 8 * time.Hour},
		{"spring", "Europe/Berlin", "23:00-07:00", time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), 7 * time.Hour},
		{"autumn", "Europe/Berlin", "23:00-07:00", time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC), 9 * time.Hour},
		{"an hour that does not exist", "Europe/Berlin", "02:15-02:45", time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), 0},
		{"one that exists twice", "Europe/Berlin", "02:15-02:45", time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC), time.Hour},
		{"from an hour that does not exist", "America/New_York", "02:30-03:30", time.Date(2026, 3, 7, 20, 0, 0, 0, time.UTC), 30 * time.Minute},
		{"half an hour", "Australia/Lord_Howe", "01:00-03:00", time.Date(2026, 4, 4, 2, 0, 0, 0, time.UTC), 150 * time.Minute},
		{"midnight that does not exist", "America/Asuncion", "23:00-01:30", time.Date(2023, 9, 30, 16, 0, 0, 0, time.UTC), 90 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, loc := parse(t, c.hours), zone(t, c.zone)
			var quiet time.Duration
			for at := c.noon.In(loc); at.Before(c.noon.Add(24 * time.Hour)); at = at.Add(time.Minute) {
				if h.Contains(at) {
					quiet += time.Minute
				}
			}
			if quiet != c.want {
				t.Errorf("quiet for %v, want %v", quiet, c.want)
			}
		})
	}
}

// What is read is written so that it is read again, as the same times of the day.
func FuzzParseHours(f *testing.F) {
	for _, text := range []string{"", "23:00-07:00", "7:00-9:15, 13:00-24:00", "00:00-24:00", "02:00-01:59,x", "24:00-1:00", "1:00--2:00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := wakefilter.ParseHours(text)
		if err != nil {
			if h != nil {
				t.Error("an error, but hours as well")
			}
			return
		}
		again, err := wakefilter.ParseHours(h.String())
		if diff := cmp.Diff(h, again); err != nil || diff != "" {
			t.Errorf("%q, written as %q: %v (-first +again):\n%s", text, h, err, diff)
		}
		day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
		some := false
		for at := day; at.Before(day.Add(24 * time.Hour)); at = at.Add(time.Minute) {
			some = some || h.Contains(at)
		}
		if some != (len(h) > 0) {
			t.Errorf("%q: contains a minute of the day: %t", text, some)
		}
	})
}
