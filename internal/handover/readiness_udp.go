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
	unreachableTime = 50 * time.Millisecond

	// rationed is how many "port unreachable" a machine sends to one client at once,
	// about all its ports together; from then on one each second (Linux,
	// icmp_ratelimit). An answer that was saved would look like a service that
	// is there, so no more datagrams go out than can be objected to.
	unreachableBurst = 5
	unreachablePause = 1100 * time.Millisecond

	// eased is the longest pause between two datagrams to one service that is
	// not kept waiting by the ration.
	maxUDPPause = 400 * time.Millisecond
)

// askUDP asks a UDP service with a datagram that waits. Where there is none, nobody
// waits: a reader tells of a knock before it keeps the datagram, but not long before.
func (r *Readiness) probeUDP(now time.Time, w *serviceState, asker ProbeClient, d *Due) {
	client, ok := asker(w.Service)
	switch {
	case !ok && w.withoutDatagram > 0:
		r.open(w)
		d.Ready = append(d.Ready, w.Service)
	case !ok:
		w.withoutDatagram++
		w.next = now.Add(unreachableTime)
	case r.takeUnreachable(now, w, client):
		w.next, w.readyAt, w.withoutDatagram, w.client = time.Time{}, now.Add(unreachableTime), 0, client
		d.Probe = append(d.Probe, w.Service)
	}
}

// spend takes one of the objections that the machine may send to a client, or has w
// wait for the next. Who was asked stands behind the others then.
func (r *Readiness) takeUnreachable(now time.Time, w *serviceState, client netip.Addr) bool {
	if free := r.nextUnreachable(client); now.Before(free) {
		w.next = free
		return false
	}
	if r.unreachables == nil {
		r.unreachables = make(map[netip.Addr]time.Time)
	}
	maps.DeleteFunc(r.unreachables, func(_ netip.Addr, whole time.Time) bool { return !now.Before(whole) })
	r.unreachables[client] = later(r.unreachables[client], now).Add(unreachablePause)
	r.pending = append(slices.DeleteFunc(r.pending, func(o *serviceState) bool { return o == w }), w)
	return true
}

// free returns when the machine may send one more objection to a client.
func (r *Readiness) nextUnreachable(client netip.Addr) time.Time {
	return r.unreachables[client].Add(-(unreachableBurst - 1) * unreachablePause)
}

// Objected says that nobody takes datagrams at s.
func (r *Readiness) Unreachable(now time.Time, s machine.Service) {
	w := r.find(s)
	if w == nil || w.readyAt.IsZero() || w.rule.By == machine.ByDelay {
		return
	}
	w.readyAt = time.Time{}
	w.next = later(now.Add(min(unreachableTime<<min(w.refusals, 8), maxUDPPause)), r.nextUnreachable(w.client))
	w.refusals++
}
