package registration

import (
	"strconv"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/ratelimit"
)

// A machine that changes its name without end makes new series in the metrics
// without end, and one that registers or changes without end washes the history
// out and fills the log.
const (
	mostRenames = 10
	mostRecords = 10
	mostChanges = 20
	restrained  = time.Hour // in which there may be so many
)

// ChangeLimiter bounds what each machine can change by registering again. The zero
// ChangeLimiter is ready. It is not safe for concurrent use.
type ChangeLimiter struct {
	renames, records, changes hourly
}

// Rename returns nil if the machine that is known as was may be called name from
// now on. The error is a *Refusal.
func (r *ChangeLimiter) Rename(mac ether.MAC, was, name string, now time.Time) error {
	if was == "" || was == name {
		return nil
	}
	wait := r.renames.take(mac, mostRenames, now)
	if wait == 0 {
		return nil
	}
	return Refuse(Limited, "name: found %s, the %dth change of the name within an hour: expected at most %d; %s stays for %d s",
		quoted(name), mostRenames+1, mostRenames, strconv.Quote(was), ratelimit.Seconds(wait))
}

// Change returns nil if what a machine has registered may change once more. The error
// is a *Refusal.
func (r *ChangeLimiter) Change(mac ether.MAC, now time.Time) error {
	wait := r.changes.take(mac, mostChanges, now)
	if wait == 0 {
		return nil
	}
	return Refuse(Limited, "found change %d of what %s has registered within an hour: expected at most %d; what it registered last stays for %d s",
		mostChanges+1, mac, mostChanges, ratelimit.Seconds(wait))
}

// Record reports whether a registration that changes nothing is worth a record in
// the history. The first ones of an hour are.
func (r *ChangeLimiter) Record(mac ether.MAC, now time.Time) bool {
	return r.records.take(mac, mostRecords, now) == 0
}

// Known returns how many machines are remembered, for each kind of thing.
func (r *ChangeLimiter) Known() int {
	return len(r.renames.byMAC) + len(r.records.byMAC) + len(r.changes.byMAC)
}

// hourly remembers what each machine did within the last hour. A token bucket
// would let through twice as much in its first hour.
type hourly struct {
	byMAC map[ether.MAC][]time.Time // oldest first
	swept time.Time
}

// take notes that mac does it once more and returns 0, or notes nothing and
// returns how long it has to wait.
func (h *hourly) take(mac ether.MAC, most int, now time.Time) time.Duration {
	h.sweep(now)
	times := h.byMAC[mac]
	for len(times) > 0 && now.Sub(times[0]) >= restrained {
		times = times[1:]
	}
	if len(times) >= most {
		return restrained - now.Sub(times[0])
	}
	if h.byMAC == nil {
		h.byMAC = make(map[ether.MAC][]time.Time)
	}
	h.byMAC[mac] = append(times[:len(times):len(times)], now)
	return 0
}

// sweep forgets, once an hour, those that did nothing in it.
func (h *hourly) sweep(now time.Time) {
	if now.Sub(h.swept) < restrained {
		return
	}
	h.swept = now
	for mac, times := range h.byMAC {
		if now.Sub(times[len(times)-1]) >= restrained {
			delete(h.byMAC, mac)
		}
	}
}
