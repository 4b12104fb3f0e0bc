package handover

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

const (
	// slowestPace is the longest pause between two SYNs to a service.
	slowestPace = 250 * time.Millisecond

	// turnSlack is how late a probe may be without delaying the next turn: a sleeping loop
	// wakes with a precision of a millisecond (epoll_wait(2)), and turns are shorter.
	turnSlack = 2 * time.Millisecond

	// checkPause is the pause between two checks of a service by a connection of ours.
	checkPause = 250 * time.Millisecond
)

// Readiness finds out when the services with held packets accept their clients. A TCP
// service is probed with a SYN, and is ready with the SYN-ACK, unless machine.Ready asks
// for a check. A UDP service is probed with a held datagram, and is ready if the machine
// sends no "port unreachable". For an echo request an address that answers is enough. The
// zero value waits for nothing. It is not safe for concurrent use.
type Readiness struct {
	began      time.Time
	anyAddress bool // no service is awaited: any address that answers is enough
	pending    []*serviceState
	ready      []machine.Service
	turn       time.Time // no TCP service is probed before

	unreachables map[netip.Addr]time.Time // by client: when the machine may send a full burst again
}

// serviceState is the state of a service that is not ready.
type serviceState struct {
	machine.Service
	rule            machine.Ready
	next            time.Time  // of the next probe or check; zero: none before another event
	probed          bool       // it was probed; TCP only
	accepted        bool       // it has accepted a connection, and has to pass a check or a delay
	readyAt         time.Time  // when it becomes ready without another event; zero: never
	client          netip.Addr // whose datagram was sent last
	sent            time.Time  // when that was
	refusals        int        // datagrams that were refused
	withoutDatagram int        // times that there was no datagram for a probe
}

// Due is what is due for services at a moment.
type Due struct {
	Probe []machine.Service // by a SYN, or by the datagram of a client
	Check []machine.Service // by a connection of our own; Checked must follow for each
	Ready []machine.Service // they accept their clients
}

// ProbeClient returns the client whose datagram would probe a UDP service.
type ProbeClient func(machine.Service) (client netip.Addr, ok bool)

// Expect waits for services of the machine of spec. A later call replaces the list; the
// state of a service that stays is kept. Without services, any address that answers is
// enough.
func (r *Readiness) Expect(now time.Time, spec *machine.Spec, services []machine.Service) {
	if r.began.IsZero() {
		r.began = now
	}
	r.anyAddress = len(services) == 0
	old := r.pending
	r.pending = nil
	for _, s := range services {
		if slices.Contains(r.ready, s) {
			continue
		}
		if i := slices.IndexFunc(old, func(w *serviceState) bool { return w.Service == s }); i >= 0 {
			r.pending = append(r.pending, old[i])
			continue
		}
		w := &serviceState{Service: s, rule: spec.Settings(s).Ready}
		if s.Protocol == machine.TCP {
			w.next = now
		}
		r.pending = append(r.pending, w)
	}
}

// Reset returns to the zero value.
func (r *Readiness) Reset() { *r = Readiness{} }

// Done reports whether all services are ready.
func (r *Readiness) Done() bool { return !r.began.IsZero() && !r.anyAddress && len(r.pending) == 0 }

// Began returns when the first Expect since Reset was. It identifies the present wait.
func (r *Readiness) Began() time.Time { return r.began }

// Next returns when Due is to be called, or the zero time.
func (r *Readiness) Next() time.Time {
	var next time.Time
	for _, w := range r.pending {
		at := w.next
		if w.probedBySYN() {
			at = later(at, r.turn)
		}
		next = sooner(sooner(next, at), w.readyAt)
	}
	return next
}

// probedBySYN reports whether the next probe of w is a SYN.
func (w *serviceState) probedBySYN() bool { return w.Protocol == machine.TCP && !w.accepted }

// Due returns what is due now. pace is the minimum time between two SYNs; TCP services take
// turns, so each is probed less often if there are more of them. The datagrams to UDP
// services have a limit of their own.
func (r *Readiness) Due(now time.Time, pace time.Duration, asker ProbeClient) (d Due) {
	for _, w := range r.others(now) {
		switch {
		case !w.readyAt.IsZero():
			r.open(w)
			d.Ready = append(d.Ready, w.Service)
		case w.accepted:
			w.next = time.Time{}
			d.Check = append(d.Check, w.Service)
		default:
			r.probeUDP(now, w, asker, &d)
		}
	}
	for w := r.first(now); w != nil && !now.Before(r.turn); w = r.first(now) {
		due := later(later(r.turn, w.next), now.Add(-turnSlack))
		r.turn = due.Add(pace)
		w.next, w.probed = now.Add(machine.Pace(now.Sub(r.began), 0, slowestPace)), true
		d.Probe = append(d.Probe, w.Service)
	}
	return d
}

// others returns the services for which anything but a SYN is due.
func (r *Readiness) others(now time.Time) (due []*serviceState) {
	for _, w := range r.pending {
		at := sooner(w.next, w.readyAt) // one of them is zero
		if !(w.probedBySYN() && w.readyAt.IsZero()) && !at.IsZero() && !now.Before(at) {
			due = append(due, w)
		}
	}
	return due
}

// first returns the TCP service to probe next, or nil if none is due. Services that were
// never probed come first, so that they do not wait for a whole round.
func (r *Readiness) first(now time.Time) (first *serviceState) {
	for _, w := range r.pending {
		if w.probedBySYN() && !w.next.IsZero() && !now.Before(w.next) && (first == nil || w.before(first)) {
			first = w
		}
	}
	return first
}

func (w *serviceState) before(o *serviceState) bool {
	if w.probed != o.probed {
		return !w.probed
	}
	return w.next.Before(o.next)
}

// sooner returns the earlier of two times. Zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Answered records that the machine answers for ip. It returns the services that are ready
// by that.
func (r *Readiness) Answered(now time.Time, ip netip.Addr) (ready []machine.Service) {
	r.anyAddress = false
	for _, w := range slices.Clone(r.pending) {
		switch {
		case w.Addr != ip || w.Protocol == machine.TCP || !w.next.IsZero() || !w.readyAt.IsZero():
		case w.rule.By == machine.ByDelay:
			w.readyAt = now.Add(w.rule.Delay)
		case w.Protocol == machine.ICMP:
			r.open(w)
			ready = append(ready, w.Service)
		default:
			w.next = now
		}
	}
	return ready
}

// Accepted records that s has accepted a connection. It reports whether s is ready by that.
func (r *Readiness) Accepted(now time.Time, s machine.Service) bool {
	w := r.find(s)
	if w == nil || w.accepted {
		return false
	}
	switch w.rule.By {
	case machine.ByDefault:
		r.open(w)
		return true
	case machine.ByDelay:
		w.next, w.readyAt = time.Time{}, now.Add(w.rule.Delay)
	default:
		w.next = now
	}
	w.accepted = true
	return false
}

// Checked records the result of a check of s. began is that of the wait in which it
// started. It reports whether s is ready by that.
func (r *Readiness) Checked(now, began time.Time, s machine.Service, passed bool) bool {
	w := r.find(s)
	if w == nil || !w.accepted || !w.next.IsZero() || !r.began.Equal(began) {
		return false
	}
	if !passed {
		w.next = now.Add(checkPause)
		return false
	}
	r.open(w)
	return true
}

func (r *Readiness) find(s machine.Service) *serviceState {
	if i := slices.IndexFunc(r.pending, func(w *serviceState) bool { return w.Service == s }); i >= 0 {
		return r.pending[i]
	}
	return nil
}

func (r *Readiness) open(w *serviceState) {
	r.ready = append(r.ready, w.Service)
	r.pending = slices.DeleteFunc(r.pending, func(o *serviceState) bool { return o == w })
}

const (
	// unreachableTime is how long a machine has to answer a datagram with "port
	// unreachable". On a wire that takes well below a millisecond.
	unreachableTime = 50 * time.Millisecond

	// A "port unreachable" may wait behind other frames, if a client downloads from the
	// machine meanwhile. Whether frames wait is looked at again after unreadPause, and for
	// unreadLimit at most: a full queue of the socket takes less.
	unreadPause = 10 * time.Millisecond
	unreadLimit = time.Second

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
		w.next, w.readyAt, w.withoutDatagram, w.client, w.sent = time.Time{}, now.Add(unreachableTime), 0, client, now
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

// Accepts reports whether Due would return a UDP service as ready because its datagram was
// not refused.
func (r *Readiness) Accepts(now time.Time) bool {
	return slices.ContainsFunc(r.pending, func(w *serviceState) bool { return w.accepts(now) })
}

// Unread records that there are frames that were received and not handled yet: one of them
// may be the refusal of a datagram. For a while no service is ready without it.
func (r *Readiness) Unread(now time.Time) {
	for _, w := range r.pending {
		if w.accepts(now) && now.Before(w.sent.Add(unreachableTime+unreadLimit)) {
			w.readyAt = now.Add(unreadPause)
		}
	}
}

func (w *serviceState) accepts(now time.Time) bool {
	return w.Protocol == machine.UDP && w.rule.By != machine.ByDelay && !w.readyAt.IsZero() && !now.Before(w.readyAt)
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
