package handover

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

const (
	// slowest is the pace of the questions to a service that takes long.
	slowest = 250 * time.Millisecond

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

// Readiness finds out when the services that somebody waits for can take their
// clients. TCP services are asked with a SYN, and are ready with the SYN-ACK.
// A UDP service is ready when the machine answers for its address and does not
// object to a datagram. For an echo request the address is enough. The zero
// value waits for nothing. It is not safe for concurrent use.
type Readiness struct {
	began time.Time
	any   bool // nobody waits for a service: any address will do
	waits []*wait
	ready []machine.Service

	rations map[netip.Addr]time.Time // of each address: when all of them will be there again
}

// wait is what is known about one service that is not ready.
type wait struct {
	machine.Service
	next     time.Time // of the next question; zero: not before the address answers
	accepted time.Time // then a datagram was not objected to; zero: none is out
	objected int       // datagrams that were
}

// Expect waits for services. A later call replaces the list; what is known of a
// service already stays known. Without services, an address that answers is all
// that is waited for.
func (r *Readiness) Expect(now time.Time, services []machine.Service) {
	if r.began.IsZero() {
		r.began = now
	}
	r.any = len(services) == 0
	old := r.waits
	r.waits = nil
	for _, s := range services {
		if slices.Contains(r.ready, s) {
			continue
		}
		if i := slices.IndexFunc(old, func(w *wait) bool { return w.Service == s }); i >= 0 {
			r.waits = append(r.waits, old[i])
			continue
		}
		w := &wait{Service: s}
		if s.Protocol == machine.TCP {
			w.next = now
		}
		r.waits = append(r.waits, w)
	}
}

// Reset waits for nothing, and knows nothing.
func (r *Readiness) Reset() { *r = Readiness{} }

// Done reports whether nothing is waited for any more.
func (r *Readiness) Done() bool { return !r.began.IsZero() && !r.any && len(r.waits) == 0 }

// Next returns when Due has something to say, or the zero time.
func (r *Readiness) Next() time.Time {
	var next time.Time
	for _, w := range r.waits {
		for _, at := range []time.Time{w.next, w.accepted} {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}

// Due returns which services have to be asked now, and which are ready because
// their machine has not objected. While many machines are awaited, pace is the
// least time between two questions to one service.
func (r *Readiness) Due(now time.Time, pace time.Duration) (ask, ready []machine.Service) {
	for _, w := range slices.Clone(r.waits) {
		switch {
		case !w.accepted.IsZero() && !now.Before(w.accepted):
			r.open(w)
			ready = append(ready, w.Service)
		case w.next.IsZero() || now.Before(w.next):
		case w.Protocol == machine.UDP:
			if r.spend(now, w) {
				w.next, w.accepted = time.Time{}, now.Add(objection)
				ask = append(ask, w.Service)
			}
		default:
			w.next = now.Add(machine.Pace(now.Sub(r.began), pace, slowest))
			ask = append(ask, w.Service)
		}
	}
	return ask, ready
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

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Answered says that the machine answers for ip. It returns the services that
// are ready by that.
func (r *Readiness) Answered(now time.Time, ip netip.Addr) (ready []machine.Service) {
	r.any = false
	for _, w := range slices.Clone(r.waits) {
		switch {
		case w.Addr != ip:
		case w.Protocol == machine.ICMP:
			r.open(w)
			ready = append(ready, w.Service)
		case w.Protocol == machine.UDP && w.next.IsZero() && w.accepted.IsZero():
			w.next = now
		}
	}
	return ready
}

// Accepted says that s has taken a connection. It reports whether somebody
// waited for that.
func (r *Readiness) Accepted(s machine.Service) bool {
	w := r.find(s)
	if w == nil {
		return false
	}
	r.open(w)
	return true
}

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

func (r *Readiness) find(s machine.Service) *wait {
	if i := slices.IndexFunc(r.waits, func(w *wait) bool { return w.Service == s }); i >= 0 {
		return r.waits[i]
	}
	return nil
}

func (r *Readiness) open(w *wait) {
	r.ready = append(r.ready, w.Service)
	r.waits = slices.DeleteFunc(r.waits, func(o *wait) bool { return o == w })
}
