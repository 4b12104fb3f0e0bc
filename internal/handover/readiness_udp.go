package handover

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

const (
	// unreachableTime is how long a machine has to answer a datagram with "port
	// unreachable". On a wire that takes well below a millisecond.
	unreachableTime = 50 * time.Millisecond

	// unreachableBurst is how many "port unreachable" a machine sends to one client at
	// once, for all its ports together; from then on one each second (Linux,
	// icmp_ratelimit). A suppressed one would look like a service that listens, so no more
	// datagrams go out than the machine can refuse.
	unreachableBurst = 5
	unreachablePause = 1100 * time.Millisecond

	// maxUDPPause is the longest pause between two datagrams to one service, unless the
	// rate of refusals needs a longer one.
	maxUDPPause = 400 * time.Millisecond
)

// probeUDP probes a UDP service with a held datagram. If there is none the second time, no
// client waits: a reader reports a knock shortly before it holds the datagram.
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

// takeUnreachable takes one of the "port unreachable" that the machine may send to a client,
// or delays w until the next. A probed service goes to the end of the queue.
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

// nextUnreachable returns when the machine may send one more "port unreachable" to a client.
func (r *Readiness) nextUnreachable(client netip.Addr) time.Time {
	return r.unreachables[client].Add(-(unreachableBurst - 1) * unreachablePause)
}

// Unreachable records that no program accepts datagrams at s.
func (r *Readiness) Unreachable(now time.Time, s machine.Service) {
	w := r.find(s)
	if w == nil || w.readyAt.IsZero() || w.rule.By == machine.ByDelay {
		return
	}
	w.readyAt = time.Time{}
	w.next = later(now.Add(min(unreachableTime<<min(w.refusals, 8), maxUDPPause)), r.nextUnreachable(w.client))
	w.refusals++
}
