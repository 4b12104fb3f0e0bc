package machine

import "time"

// clockSlack is how far the clock on the wall and the monotonic one may be apart
// without the former having been set.
const clockSlack = time.Second

// OnClock returns t by the present wall clock. A host without a real-time clock starts
// in the past and sets its clock by years later; what happened before is then as long
// ago as the monotonic clock says. The zero time stays zero, and a t without monotonic
// reading is returned as it is.
func OnClock(t, now time.Time) time.Time {
	if t.IsZero() || t == t.Round(0) {
		return t
	}
	then := now.Add(-now.Sub(t))
	if then.Round(0).Sub(t.Round(0)).Abs() < clockSlack {
		return t
	}
	return then
}

// notBefore returns t, or least if t is earlier.
func notBefore(t, least time.Time) time.Time {
	if t.Before(least) {
		return least
	}
	return t
}

// notAfter returns t, or now if t is later.
func notAfter(t, now time.Time) time.Time {
	if t.After(now) {
		return now
	}
	return t
}

// earlier returns the earlier of two times, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		first = earlier(first, t)
	}
	return first
}
