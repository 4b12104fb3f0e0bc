package handover

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

const (
	// objection is how long a machine has to answer a datagram with "port
	// unreachable". On a wire it takes well below a millisecond.
	objection = 50 * time.Millisecond

	// rationed is how many "port unreachable" a machine sends us at once, about
	// all its ports together; from then on one each second (Linux,
	// icmp_ratelimit). An answer that was saved would look like a service that
	// is there, so no more datagrams go out than can be objected to.
	rationed = 5
	ration   = 1100 * time.Millisecond

	// eased is the longest pause between two datagrams to one service that is
	// not kept waiting by the ration.
	eased = 400 * time.Millisecond
)

// datagrams returns the UDP services for which something is due: a question, or
// the end of the time for an objection.
func (r *Readiness) datagrams(now time.Time) (due []*wait) {
	for _, w := range r.waits {
		at := sooner(w.next, w.accepted) // one of them is zero
		if w.Protocol == machine.UDP && !at.IsZero() && !now.Before(at) {
			due = append(due, w)
		}
	}
	return due
}

// spend takes one of the objections that w's machine may make for its address,
// or has w wait for the next. Who was asked stands behind the others then.
func (r *Readiness) spend(now time.Time, w *wait) bool {
	if free := r.free(w); now.Before(free) {
		w.next = free
		return false
	}
	if r.rations == nil {
		r.rations = make(map[netip.Addr]time.Time)
	}
	r.rations[w.Addr] = later(r.rations[w.Addr], now).Add(ration)
	r.waits = append(slices.DeleteFunc(r.waits, func(o *wait) bool { return o == w }), w)
	return true
}

// free returns when w's machine may object once more.
func (r *Readiness) free(w *wait) time.Time { return r.rations[w.Addr].Add(-(rationed - 1) * ration) }

// Objected says that nobody takes datagrams at s.
func (r *Readiness) Objected(now time.Time, s machine.Service) {
	w := r.find(s)
	if w == nil || w.accepted.IsZero() {
		return
	}
	w.accepted = time.Time{}
	w.next = later(now.Add(min(objection<<min(w.objected, 8), eased)), r.free(w))
	w.objected++
}
