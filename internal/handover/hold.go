package handover

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// Verdict is what to do with a packet.
type Verdict uint8

// The verdicts.
const (
	Ignore  Verdict = iota // it is not for this machine
	Held                   // it waits for its service
	Forward                // the machine can take it now
)

// mode is what happens to packets for a machine.
type mode uint32

const (
	closed         mode = iota // the machine takes them itself
	holdingAll                 // it cannot take any: knocks are kept
	holdingUnready             // it takes those for services that are ready
	open                       // it takes all
)

// Hold keeps what cannot wait for its machine to wake. Its methods are safe for
// concurrent use: packets come from the readers, decisions from the loop.
type Hold struct {
	held, replayed, dropped atomic.Uint64

	mode    atomic.Uint32           // written under mu
	replies atomic.Pointer[replies] // written under mu

	mu      sync.Mutex
	account account
	limit   int // packets
	packets []*packet
	shares  map[netip.Addr]int // packets by source
	ready   []machine.Service  // of those that take their packets
}

// NewHold returns a Hold for at most limit packets out of budget, which is
// closed.
func NewHold(limit int, budget *Budget) *Hold {
	return &Hold{limit: limit, account: account{budget: budget}}
}

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
func (h *Hold) HoldAll() { h.set(holdingAll) }

// Pass has knocks wait only for services that are not ready.
func (h *Hold) HoldUnready() { h.set(holdingUnready) }

func (h *Hold) set(m mode) {
	if mode(h.mode.Load()) == m {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mode.Store(uint32(m))
	h.ready = nil
	h.forgetProbes()
	if m == closed {
		h.drop(allServices)
	}
}

// Passing reports whether the machine takes some packets, and not others.
func (h *Hold) HoldsUnready() bool { return mode(h.mode.Load()) == holdingUnready }

// Opened reports whether the machine takes every packet.
func (h *Hold) Opened() bool { return mode(h.mode.Load()) == open }

// Take decides about a packet for the machine, which came now. A knock at a service
// that cannot take it yet is kept. The frame is copied.
func (h *Hold) Take(now time.Time, p *lan.Packet, knocks bool, service machine.Service) Verdict {
	m := mode(h.mode.Load())
	switch {
	case m == closed:
		return Ignore
	case m == open:
		return Forward
	case !knocks && !p.Fragment:
		return m.forOtherPackets()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m = mode(h.mode.Load()) // it may just have changed
	if !knocks {
		// The first fragment has the ports; the others follow it.
		service, knocks = h.serviceOfFragment(p)
	}
	switch {
	case m == closed:
		return Ignore
	case m == open || m == holdingUnready && slices.Contains(h.ready, service):
		return Forward
	case !knocks:
		return m.forOtherPackets()
	}
	h.hold(now, p, service)
	return Held
}

// otherwise is what happens to a packet that is not worth waiting for.
func (m mode) forOtherPackets() Verdict {
	if m == holdingAll {
		return Ignore
	}
	return Forward
}

// rest finds the service of the datagram to which a later fragment belongs.
func (h *Hold) serviceOfFragment(p *lan.Packet) (machine.Service, bool) {
	for _, w := range h.packets {
		if w.datagram == datagramOf(p) && w.client.IP == p.From && w.client.MachineIP == p.To {
			return w.service, true
		}
	}
	return machine.Service{}, false
}

// Send sends a frame that has waited to its machine. sum is what the kernel said
// of its checksum when it came.
type Send func(frame []byte, sum lan.Checksum) error

// Admit lets those in who wait for service, oldest first, and from now on all
// who come for it. Nobody who comes meanwhile overtakes them.
func (h *Hold) Admit(service machine.Service, send Send) (replayed int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = append(h.ready, service)
	return h.replay(func(s machine.Service) bool { return s == service }, send)
}

// Open lets everybody in, oldest first, and from now on all who come.
func (h *Hold) Open(send Send) (replayed int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Only then: who finds it open does not wait for the lock.
	defer h.mode.Store(uint32(open))
	return h.replay(allServices, send)
}

func (h *Hold) replay(of func(machine.Service) bool, send Send) (replayed int) {
	h.endProbes(of)
	h.remove(func(w *packet) bool {
		if !of(w.service) {
			return false
		}
		if !w.probed && send(w.frame, w.sum) != nil {
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
func (h *Hold) Dismiss(of func(machine.Service) bool) []Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	gone := h.clients(of)
	h.drop(of)
	return gone
}

// Drop forgets everybody who waits, and returns how many packets that were.
func (h *Hold) Drop() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.drop(allServices)
}

func allServices(machine.Service) bool { return true }

func (h *Hold) drop(of func(machine.Service) bool) int {
	h.endProbes(of)
	n := h.remove(func(w *packet) bool { return of(w.service) })
	h.dropped.Add(uint64(n))
	return n
}
