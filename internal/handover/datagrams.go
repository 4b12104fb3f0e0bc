package handover

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

const (
	// objection is how long a machine has to answer a datagram with "port
	// unreachable". On a wire it takes well below a millisecond.
	objection = 50 * time.Millisecond

	// rationed is how many "port unreachable" a machine sends to one client at once,
	// about all its ports together; from then on one each second (Linux,
	// icmp_ratelimit). An answer that was saved would look like a service that
	// is there, so no more datagrams go out than can be objected to.
	rationed = 5
	ration   = 1100 * time.Millisecond

	// eased is the longest pause between two datagrams to one service that is
	// not kept waiting by the ration.
	eased = 400 * time.Millisecond
)

// askUDP asks a UDP service with a datagram that waits. Where there is none, nobody
// waits: a reader tells of a knock before it keeps the datagram, but not long before.
func (r *Readiness) askUDP(now time.Time, w *wait, asker Asker, d *Due) {
	client, ok := asker(w.Service)
	switch {
	case !ok && w.unheard > 0:
		r.open(w)
		d.Ready = append(d.Ready, w.Service)
	case !ok:
		w.unheard++
		w.next = now.Add(objection)
	case r.spend(now, w, client):
		w.next, w.ready, w.unheard, w.client = time.Time{}, now.Add(objection), 0, client
		d.Ask = append(d.Ask, w.Service)
	}
}

// spend takes one of the objections that the machine may send to a client, or has w
// wait for the next. Who was asked stands behind the others then.
func (r *Readiness) spend(now time.Time, w *wait, client netip.Addr) bool {
	if free := r.free(client); now.Before(free) {
		w.next = free
		return false
	}
	if r.rations == nil {
		r.rations = make(map[netip.Addr]time.Time)
	}
	maps.DeleteFunc(r.rations, func(_ netip.Addr, whole time.Time) bool { return !now.Before(whole) })
	r.rations[client] = later(r.rations[client], now).Add(ration)
	r.waits = append(slices.DeleteFunc(r.waits, func(o *wait) bool { return o == w }), w)
	return true
}

// free returns when the machine may send one more objection to a client.
func (r *Readiness) free(client netip.Addr) time.Time {
	return r.rations[client].Add(-(rationed - 1) * ration)
}

// Objected says that nobody takes datagrams at s.
func (r *Readiness) Objected(now time.Time, s machine.Service) {
	w := r.find(s)
	if w == nil || w.ready.IsZero() || w.by.By == machine.ByDelay {
		return
	}
	w.ready = time.Time{}
	w.next = later(now.Add(min(objection<<min(w.objected, 8), eased)), r.free(w.client))
	w.objected++
}
