package handover

import (
	"net/netip"
	"slices"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// largest is how large a frame may be that is kept, in octets: a jumbo frame.
// Segments that the kernel has merged into more are sent again by their client.
const largest = 9216

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
		if i := slices.IndexFunc(h.packets, func(o *packet) bool { return o.flow == w.flow }); i >= 0 {
			h.repeat(i, w, p.Frame)
			return
		}
	}
	if !h.room() || !h.pay(costOf(len(p.Frame)), w.flow.syn) {
		h.dropped.Add(1)
		return
	}
	kept := w // what is dropped costs no allocation
	kept.frame = slices.Clone(p.Frame)
	h.packets = append(h.packets, &kept)
	h.held.Add(1)
}

// repeat puts a retransmission in the place of the packet i: the client's clock
// has gone on, so that the later one is the better. One that is larger than there
// is memory for is not worth the place of others.
func (h *Hold) repeat(i int, w packet, frame []byte) {
	before := h.packets[i].frame
	if !h.account.take(costOf(len(frame)) - costOf(len(before))) {
		return
	}
	if len(before) == len(frame) {
		w.frame = before
		copy(w.frame, frame)
	} else {
		w.frame = slices.Clone(frame)
	}
	*h.packets[i] = w
}

// room makes room for a packet, at the cost of the oldest datagram: who sends
// datagrams expects to lose some. A SYN stays, a client waits for it.
func (h *Hold) room() bool {
	return len(h.packets) < h.limit || h.displace(func(int64) bool { return true })
}

// pay takes octets of memory for a packet. A SYN has those of the oldest datagrams
// if there are no others: its client waits.
func (h *Hold) pay(octets int64, syn bool) bool {
	if h.account.take(octets) {
		return true
	}
	return syn && h.displace(func(given int64) bool { return h.account.fits(octets, given) }) && h.account.take(octets)
}

// displace gives up the oldest datagrams, until what they took is enough. It gives
// up none if all of them would not be.
func (h *Hold) displace(enough func(octets int64) bool) bool {
	var octets int64
	for i := range h.packets {
		if h.packets[i].flow.syn {
			continue
		}
		if octets += h.packets[i].cost(); !enough(octets) {
			continue
		}
		at := -1
		n := h.remove(func(w *packet) bool { at++; return at <= i && !w.flow.syn })
		h.dropped.Add(uint64(n))
		return true
	}
	return false
}

// remove takes out the chosen packets, and returns how many.
func (h *Hold) remove(chosen func(*packet) bool) int {
	before := len(h.packets)
	h.packets = slices.DeleteFunc(h.packets, func(w *packet) bool {
		if !chosen(w) {
			return false
		}
		h.account.give(w.cost())
		return true
	})
	n := before - len(h.packets)
	if n == before {
		h.packets = nil // the room for as many as there were once is memory too
	}
	return n
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
