package handover

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// Verdict is what the reader does with a packet.
type Verdict uint8

// The verdicts.
const (
	Ignore  Verdict = iota // leave it to the kernel
	Held                   // it is held until its service is ready
	Forward                // send it to the machine now
)

// NewHold returns a closed Hold for at most limit packets, with memory from budget.
func NewHold(limit int, budget *Budget) *Hold {
	return &Hold{limit: limit, account: account{budget: budget}}
}

// SetLimit changes how many packets may be held. Packets that are held already stay.
func (h *Hold) SetLimit(limit int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.limit = limit
}

// Counts returns the numbers of held, replayed and dropped packets so far.
func (h *Hold) Counts() machine.Packets {
	return machine.Packets{Held: h.held.Load(), Replayed: h.replayed.Load(), Dropped: h.dropped.Load()}
}

// Close leaves packets to the machine itself, and drops the held ones.
func (h *Hold) Close() { h.set(closed) }

// HoldAll holds knocks at all services.
func (h *Hold) HoldAll() { h.set(holdingAll) }

// HoldUnready holds knocks at services that are not ready, and forwards other packets.
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

// HoldsUnready reports whether HoldUnready is in effect.
func (h *Hold) HoldsUnready() bool { return mode(h.mode.Load()) == holdingUnready }

// Opened reports whether every packet is forwarded.
func (h *Hold) Opened() bool { return mode(h.mode.Load()) == open }

// Take decides about a packet for the machine that came at now. A knock at a service that is
// not ready is held. The frame is copied.
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

// forOtherPackets returns the verdict on packets that do not knock.
func (m mode) forOtherPackets() Verdict {
	if m == holdingAll {
		return Ignore
	}
	return Forward
}

// serviceOfFragment returns the service of the held datagram to which a later fragment
// belongs.
func (h *Hold) serviceOfFragment(p *lan.Packet) (machine.Service, bool) {
	for _, w := range h.packets {
		if w.datagram == datagramOf(p) && w.client.IP == p.From && w.client.MachineIP == p.To {
			return w.service, true
		}
	}
	return machine.Service{}, false
}

// Send sends a held frame to its machine. sum is the checksum state that the kernel reported
// at reception.
type Send func(frame []byte, sum lan.Checksum) error

// Admit replays the held packets for a service, oldest first, and forwards later ones at
// once. Packets that arrive meanwhile do not overtake them. It returns how many were sent.
func (h *Hold) Admit(service machine.Service, send Send) (replayed int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = append(h.ready, service)
	return h.replay(func(s machine.Service) bool { return s == service }, send)
}

// Open replays all held packets, oldest first, and forwards later ones at once. It returns
// how many were sent.
func (h *Hold) Open(send Send) (replayed int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Only after the replay: a reader that finds it open does not wait for the lock.
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

// Dismiss drops the held packets for some services, and returns their clients.
func (h *Hold) Dismiss(of func(machine.Service) bool) []Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	gone := h.clients(of)
	h.drop(of)
	return gone
}

// Drop drops all held packets, and returns how many.
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

func (h *Hold) hold(now time.Time, p *lan.Packet, service machine.Service) {
	if len(p.Frame) > maxFrame {
		h.dropped.Add(1)
		return
	}
	w := packet{
		flow: flowOf(p), service: service, datagram: datagramOf(p), sum: p.Sum,
		client: Client{MachineIP: p.To, MAC: p.Src, IP: p.From}, port: p.FromPort, first: now, last: now,
	}
	if w.flow != (flow{}) {
		if i := slices.IndexFunc(h.packets, func(o *packet) bool { return o.flow == w.flow }); i >= 0 {
			h.repeat(i, w, p.Frame)
			return
		}
	}
	kept, ok := h.makeRoom(&w)
	if !ok || !h.takeMemory(now, memoryOf(len(p.Frame)), w.flow.syn) {
		h.dropped.Add(1)
		return
	}
	if kept == nil {
		kept = new(packet)
	}
	w.frame = overwrite(kept.frame, p.Frame)
	*kept = w
	h.packets = append(h.packets, kept)
	if h.shares == nil {
		h.shares = make(map[netip.Addr]int)
	}
	h.shares[w.client.IP]++
	h.held.Add(1)
}

// repeat replaces packet i with its retransmission, whose TCP timestamp is newer. It keeps
// the old one if there is no memory for a larger one.
func (h *Hold) repeat(i int, w packet, frame []byte) {
	before := h.packets[i].frame
	w.first, h.packets[i].last = h.packets[i].first, w.last
	if !h.account.take(memoryOf(len(frame)) - memoryOf(len(before))) {
		return
	}
	w.frame = overwrite(before, frame)
	*h.packets[i] = w
}

// overwrite returns a copy of frame, in the memory of another of the same length. So the
// packets of a flood, which are alike, cost no allocation.
func overwrite(before, frame []byte) []byte {
	if len(before) != len(frame) {
		return slices.Clone(frame)
	}
	copy(before, frame)
	return before
}

// maxFrame is the largest frame that is held, in bytes: a jumbo frame. Segments that the
// kernel has merged into a larger one are sent again by their client.
const maxFrame = 9216
