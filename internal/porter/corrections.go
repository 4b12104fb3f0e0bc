package porter

import (
	"net/netip"
	"time"

	"nightporter/internal/fastpath"
	"nightporter/internal/handover"
	"nightporter/internal/timerqueue"
)

// cardCorrections is when a neighbor gets our MAC again after a request that the machine or
// its network card answers too, counted from the request. Linux ignores a second ARP reply
// within a second (locktime) and takes the last of two advertisements, so without a
// correction it keeps the machine's answer in half of all cases. It takes an unsolicited
// correction at once. Some cards answer late.
var cardCorrections = []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond, 1100 * time.Millisecond}

// directCorrections is the same for a neighbor that still sends packets to us for a machine
// that is up. A neighbor that ignores them gets no more.
var directCorrections = []time.Duration{0, 1100 * time.Millisecond, 10 * time.Second}

// corrections is the schedule of corrections on one interface. The zero value is empty.
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

// times returns when the correction is sent.
func (c *correction) times() []time.Duration {
	if c.machineUp {
		return directCorrections
	}
	return cardCorrections
}

// schedule begins to correct a requester, or begins again. up means that the machine is up.
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

// run calls correct for every requester that is due.
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
