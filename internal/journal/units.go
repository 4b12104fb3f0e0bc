package journal

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

// moment is a time in UTC (RFC 3339). One outside of the years 0 to 9999, which a
// broken clock can show, is written as zero.
type moment struct{ time.Time }

// MarshalJSON implements json.Marshaler.
func (m moment) MarshalJSON() ([]byte, error) { return writable(m.Time).UTC().MarshalJSON() }

// UnmarshalJSON implements json.Unmarshaler. With its zone a time may look like one of the
// year 9999, and is not.
func (m *moment) UnmarshalJSON(b []byte) error {
	err := m.Time.UnmarshalJSON(b)
	m.Time = writable(m.Time)
	return err
}

// writable returns t if it can be written in UTC, or else no time.
func writable(t time.Time) time.Time {
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return time.Time{}
	}
	return t
}

// span is an exact duration, such as "8h0m3.2s".
type span time.Duration

func (s span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// within returns the duration, from 0 to most.
func (s span) within(most time.Duration) time.Duration { return min(max(0, time.Duration(s)), most) }

func (s *span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	*s = span(d)
	return err
}

// seconds is a duration for those who read the history.
type seconds float64

// maxSeconds keeps durations where seconds are exact to the microsecond.
const maxSeconds = 1e9

func inSeconds(d time.Duration) seconds {
	return seconds(min(d.Round(time.Microsecond).Seconds(), maxSeconds))
}

func (s seconds) duration() time.Duration {
	s = max(-maxSeconds, min(s, maxSeconds))
	return time.Duration(float64(s) * float64(time.Second)).Round(time.Microsecond)
}

// finite replaces what JSON has no word for: one bad figure must not keep a
// machine from being written.
func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}

// first returns the first n elements of s, or all if there are fewer.
func first[S ~[]E, E any](n int, s S) S {
	n = min(n, len(s))
	return s[:n:n]
}

// hostAddresses removes addresses that are not host addresses.
func hostAddresses(addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(addrs, func(a netip.Addr) bool { return !machine.IsHostAddress(a) })
}
