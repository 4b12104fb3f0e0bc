package registration

import (
	"strconv"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/ratelimit"
)

// Limits of each machine. Each new name makes new series in the metrics; each registration and
// change takes an event from the history and a line of the log.
const (
	maxRenames = 10
	maxRecords = 10
	maxChanges = 20
	period     = time.Hour // of these limits
)

// ChangeLimiter bounds how often each machine can change by registering again. The zero value
// is ready. It is not safe for concurrent use.
type ChangeLimiter struct {
	renames, records, changes hourly
}

// Rename returns nil if the machine may change its name from was to name. The error is a
// *Refusal.
func (r *ChangeLimiter) Rename(mac ether.MAC, was, name string, now time.Time) error {
	if was == "" || was == name {
		return nil
	}
	wait := r.renames.take(mac, maxRenames, now)
	if wait == 0 {
		return nil
	}
	return Refuse(Limited, "name: found %s, the %dth change of the name within an hour: expected at most %d; %s stays for %d s",
		quoted(name), maxRenames+1, maxRenames, strconv.Quote(was), ratelimit.Seconds(wait))
}

// Change returns nil if the machine may change its registration once more. The error is a
// *Refusal.
func (r *ChangeLimiter) Change(mac ether.MAC, now time.Time) error {
	wait := r.changes.take(mac, maxChanges, now)
	if wait == 0 {
		return nil
	}
	return Refuse(Limited, "found change %d of what %s has registered within an hour: expected at most %d; what it registered last stays for %d s",
		maxChanges+1, mac, maxChanges, ratelimit.Seconds(wait))
}

// Record reports whether to record a registration that changes nothing in the history: the
// first ones of an hour.
func (r *ChangeLimiter) Record(mac ether.MAC, now time.Time) bool {
	return r.records.take(mac, maxRecords, now) == 0
}

// Known returns how many machines are stored, summed over the limits.
func (r *ChangeLimiter) Known() int {
	return len(r.renames.byMAC) + len(r.records.byMAC) + len(r.changes.byMAC)
}

// hourly counts the events of each machine within the last hour. A token bucket would allow
// twice as many in its first hour.
type hourly struct {
	byMAC map[ether.MAC][]time.Time // oldest first
	swept time.Time
}

// take counts one more event of mac and returns 0, or returns how long mac has to wait for its
// next one.
func (h *hourly) take(mac ether.MAC, most int, now time.Time) time.Duration {
	h.sweep(now)
	times := h.byMAC[mac]
	for len(times) > 0 && now.Sub(times[0]) >= period {
		times = times[1:]
	}
	if len(times) >= most {
		return period - now.Sub(times[0])
	}
	if h.byMAC == nil {
		h.byMAC = make(map[ether.MAC][]time.Time)
	}
	h.byMAC[mac] = append(times[:len(times):len(times)], now)
	return 0
}

// sweep removes, once an hour, the machines without an event in that hour.
func (h *hourly) sweep(now time.Time) {
	if now.Sub(h.swept) < period {
		return
	}
	h.swept = now
	for mac, times := range h.byMAC {
		if now.Sub(times[len(times)-1]) >= period {
			delete(h.byMAC, mac)
		}
	}
}
