package handover

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// largest is how large a frame may be that is kept, in octets: a jumbo frame.
// Segments that the kernel has merged into more are sent again by their client.
const largest = 9216

// Budget bounds what the holds that share it may keep, in octets, so that a
// flood of datagrams to many machines does not fill the memory. It is safe for
// concurrent use.
type Budget struct{ left atomic.Int64 }

// NewBudget returns a Budget of so many octets.
func NewBudget(octets int64) *Budget {
	b := new(Budget)
	b.left.Store(octets)
	return b
}

// take reserves n octets, or reports that there are not so many. A SYN is small,
// and its client waits: it always fits.
func (b *Budget) take(n int, always bool) bool {
	if b.left.Add(int64(-n)) >= 0 || always {
		return true
	}
	b.left.Add(int64(n))
	return false
}

func (b *Budget) give(n int) { b.left.Add(int64(n)) }

// Verdict is what to do with a packet.
type Verdict uint8

// The verdicts.
const (
	Ignore  Verdict = iota // it is none of our business
	Kept                   // it waits for its service
	Forward                // the machine can take it now
)

// Guest is a client that waits, as its neighbours see it: behind a router it
// has the router's MAC.
type Guest struct {
	Addr netip.Addr  // of the machine
	MAC  machine.MAC // in whose frames its packets come
	IP   netip.Addr  // of the client
}

// mode is what happens to packets for a machine.
type mode uint32

const (
	closed  mode = iota // the machine takes them itself
	keeping             // it cannot take any: knocks are kept
	passing             // it takes those for services that are ready
	open                // it takes all
)

// Hold keeps what cannot wait for its machine to wake. Its methods are safe for
// concurrent use: packets come from the readers, decisions from the loop.
type Hold struct {
	held, replayed, dropped atomic.Uint64

	budget *Budget
	mode   atomic.Uint32 // written under mu

	mu      sync.Mutex
	limit   int // packets
	packets []packet
	ready   []machine.Service // of those that take their packets
}

// packet is one that waits.
type packet struct {
	frame   []byte
	flow    flow
	service machine.Service
	guest   Guest
	part    bool // a fragment: the rest may follow
}

// flow tells a TCP segment's retransmission from a new one. A SYN stands for
// its whole connection.
type flow struct {
	from, to netip.AddrPort
	seq      uint32
	syn      bool
}

// NewHold returns a Hold for at most limit packets out of budget, which is
// closed.
func NewHold(limit int, budget *Budget) *Hold { return &Hold{limit: limit, budget: budget} }

// SetLimit changes how many packets may wait. Those that do stay.
func (h *Hold) SetLimit(limit int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.limit = limit
}

// Counts returns what happened so far.
func (h *Hold) Counts() machine.Packets {
	return machine.Packets{Held: h.held.Load(), Replayed: h.replayed.Load(), Dropped: h.dropped.Load()}
}

// Close has the machine take its packets itself; what still waits is dropped.
func (h *Hold) Close() { h.set(closed) }

// Keep has knocks wait: the machine can take nothing.
func (h *Hold) Keep() { h.set(keeping) }

// Pass has knocks wait only for services that are not ready.
func (h *Hold) Pass() { h.set(passing) }

func (h *Hold) set(m mode) {
	if mode(h.mode.Load()) == m {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mode.Store(uint32(m))
	h.ready = nil
	if m == closed {
		h.drop(everyone)
	}
}

// Passing reports whether the machine takes some packets, and not others.
func (h *Hold) Passing() bool { return mode(h.mode.Load()) == passing }

// Closed reports whether the machine takes its packets itself.
func (h *Hold) Closed() bool { return mode(h.mode.Load()) == closed }

// Take decides about a packet for the machine. A knock at a service that cannot
// take it yet is kept. The frame is copied.
func (h *Hold) Take(p *lan.Packet, knocks bool, service machine.Service) Verdict {
	m := mode(h.mode.Load())
	switch {
	case m == closed:
		return Ignore
	case m == open:
		return Forward
	case !knocks && !p.Fragment:
		return m.otherwise()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m = mode(h.mode.Load()) // it may just have changed
	if !knocks {
		// The first fragment has the ports; the others follow it.
		service, knocks = h.rest(p)
	}
	switch {
	case m == closed:
		return Ignore
	case m == open || m == passing && slices.Contains(h.ready, service):
		return Forward
	case !knocks:
		return m.otherwise()
	}
	h.keep(p, service)
	return Kept
}

// otherwise is what happens to a packet that is not worth waiting for.
func (m mode) otherwise() Verdict {
	if m == keeping {
		return Ignore
	}
	return Forward
}

// rest finds the service of the datagram to which a later fragment belongs.
func (h *Hold) rest(p *lan.Packet) (machine.Service, bool) {
	for _, w := range h.packets {
		if w.part && w.guest.IP == p.From && w.guest.Addr == p.To {
			return w.service, true
		}
	}
	return machine.Service{}, false
}

func (h *Hold) keep(p *lan.Packet, service machine.Service) {
	if len(p.Frame) > largest {
		h.dropped.Add(1)
		return
	}
	w := packet{
		flow: flowOf(p), service: service, part: p.Fragment,
		guest: Guest{Addr: p.To, MAC: p.Src, IP: p.From},
	}
	if w.flow != (flow{}) {
		if i := slices.IndexFunc(h.packets, func(o packet) bool { return o.flow == w.flow }); i >= 0 {
			// The client's clock has gone on: the later one is the better.
			h.budget.give(len(h.packets[i].frame) - len(p.Frame))
			w.frame = append(h.packets[i].frame[:0], p.Frame...)
			h.packets[i] = w
			return
		}
	}
	if !h.room() || !h.budget.take(len(p.Frame), w.flow.syn) {
		h.dropped.Add(1)
		return
	}
	w.frame = slices.Clone(p.Frame)
	h.packets = append(h.packets, w)
	h.held.Add(1)
}

// room makes room for a packet, at the cost of the oldest datagram: who sends
// datagrams expects to lose some. A SYN stays, somebody waits for it.
func (h *Hold) room() bool {
	if len(h.packets) < h.limit {
		return true
	}
	i := slices.IndexFunc(h.packets, func(o packet) bool { return !o.flow.syn })
	if i < 0 {
		return false
	}
	h.budget.give(len(h.packets[i].frame))
	h.packets = slices.Delete(h.packets, i, i+1)
	h.dropped.Add(1)
	return true
}

// flowOf returns the zero flow for what is not TCP.
func flowOf(p *lan.Packet) flow {
	if p.Kind != lan.TCP {
		return flow{}
	}
	f := flow{from: netip.AddrPortFrom(p.From, p.FromPort), to: netip.AddrPortFrom(p.To, p.ToPort), syn: p.SYN()}
	if !f.syn {
		f.seq = p.Seq
	}
	return f
}

// Guests returns everybody who waits, each once.
func (h *Hold) Guests() []Guest {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.guests(everyone)
}

// Leaving returns those who wait for nothing but service.
func (h *Hold) Leaving(service machine.Service) []Guest {
	h.mu.Lock()
	defer h.mu.Unlock()
	stay := h.guests(func(s machine.Service) bool { return s != service })
	return slices.DeleteFunc(h.guests(func(s machine.Service) bool { return s == service }), func(g Guest) bool {
		return slices.ContainsFunc(stay, g.together)
	})
}

// together reports whether o is reached by the same neighbour entry.
func (g Guest) together(o Guest) bool { return g.Addr == o.Addr && g.MAC == o.MAC }

func (h *Hold) guests(of func(machine.Service) bool) (all []Guest) {
	for _, w := range h.packets {
		if of(w.service) && !slices.ContainsFunc(all, w.guest.together) {
			all = append(all, w.guest)
		}
	}
	return all
}

// Waits reports whether somebody with this MAC waits at ip, and has to be kept
// with us because the machine is about to take others.
func (h *Hold) Waits(ip netip.Addr, mac machine.MAC) bool {
	if !h.Passing() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.packets, func(w packet) bool { return w.guest.Addr == ip && w.guest.MAC == mac })
}

// Admit lets those in who wait for service, oldest first, and from now on all
// who come for it. Nobody who comes meanwhile overtakes them.
func (h *Hold) Admit(service machine.Service, send func(frame []byte) error) (replayed int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = append(h.ready, service)
	return h.replay(func(w packet) bool { return w.service == service }, send)
}

// Open lets everybody in, oldest first, and from now on all who come.
func (h *Hold) Open(send func(frame []byte) error) (replayed int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Only then: who finds it open does not wait for the lock.
	defer h.mode.Store(uint32(open))
	return h.replay(func(packet) bool { return true }, send)
}

func (h *Hold) replay(chosen func(packet) bool, send func(frame []byte) error) (replayed int) {
	h.packets = slices.DeleteFunc(h.packets, func(w packet) bool {
		if !chosen(w) {
			return false
		}
		h.budget.give(len(w.frame))
		if send(w.frame) != nil {
			h.dropped.Add(1)
			return true
		}
		replayed++
		h.replayed.Add(1)
		return true
	})
	return replayed
}

// Dismiss forgets those who wait for some of the services, and returns them.
func (h *Hold) Dismiss(of func(machine.Service) bool) []Guest {
	h.mu.Lock()
	defer h.mu.Unlock()
	gone := h.guests(of)
	h.drop(of)
	return gone
}

// Drop forgets everybody who waits, and returns how many packets that were.
func (h *Hold) Drop() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.drop(everyone)
}

func everyone(machine.Service) bool { return true }

func (h *Hold) drop(of func(machine.Service) bool) int {
	before := len(h.packets)
	h.packets = slices.DeleteFunc(h.packets, func(w packet) bool {
		if of(w.service) {
			h.budget.give(len(w.frame))
			return true
		}
		return false
	})
	n := before - len(h.packets)
	h.dropped.Add(uint64(n))
	return n
}
