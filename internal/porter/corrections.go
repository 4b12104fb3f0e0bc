package porter

import (
	"net/netip"
	"time"

	"nightporter/internal/fastpath"
	"nightporter/internal/handover"
	"nightporter/internal/timerqueue"
)

// correctAt is when a neighbor that asked for an address is sent once more who has
// it, where the machine answers too, or its network card. Linux ignores a second ordinary
// reply within a second (locktime) and takes the last of two advertisements, so that
// it is left with the machine's answer in half of all cases; what it is sent by itself
// counts at once. A card may be slow.
var cardCorrections = []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond, 1100 * time.Millisecond}

// directAt is the same for one that still sends to us for a machine that is up. One
// that does not learn from it is not told more often.
var directCorrections = []time.Duration{0, 1100 * time.Millisecond, 10 * time.Second}

// corrections are the neighbors to correct on one interface, and when. The zero
// value is empty. It is the loop's own.
type corrections struct {
	queue   timerqueue.Queue[fastpath.Requester]
	pending map[fastpath.Requester]*correction
}

type correction struct {
	ip        netip.Addr // of the requester
	since     time.Time
	sent      int
	machineUp bool // the machine was up
}

// at is when the correction is due.
func (c *correction) times() []time.Duration {
	if c.machineUp {
		return directCorrections
	}
	return cardCorrections
}

// add has a requester be corrected from now on, or anew. up says that the machine is up.
func (q *corrections) schedule(now time.Time, who fastpath.Requester, ip netip.Addr, up bool) {
	c := q.pending[who]
	if c == nil {
		if len(q.pending) >= fastpath.MaxRequesters {
			return
		}
		if q.pending == nil {
			q.pending = make(map[fastpath.Requester]*correction)
		}
		c = new(correction)
		q.pending[who] = c
	} else if c.machineUp == up && (up || c.sent == 0) {
		return // keep the running schedule, or repeated requests would postpone the first correction for ever
	}
	*c = correction{ip: ip, since: now, machineUp: up}
	q.queue.Set(who, now.Add(c.times()[0]))
}

// next returns when run is due, or the zero time.
func (q *corrections) next() time.Time { return q.queue.Next() }

// run calls correct for every requester whose time has come.
func (q *corrections) run(now time.Time, correct func(handover.Client)) {
	for who, ok := q.queue.Pop(now); ok; who, ok = q.queue.Pop(now) {
		c := q.pending[who]
		correct(handover.Client{MachineIP: who.Addr, MAC: who.MAC, IP: c.ip})
		c.sent++
		if c.sent == len(c.times()) {
			delete(q.pending, who)
			continue
		}
		q.queue.Set(who, c.since.Add(c.times()[c.sent]))
	}
}
