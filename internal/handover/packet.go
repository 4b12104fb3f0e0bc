package handover

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// largest is how large a frame may be that is kept, in octets: a jumbo frame.
// Segments that the kernel has merged into more are sent again by their client.
const maxFrame = 9216

// packet is one that waits.
type packet struct {
	frame    []byte
	sum      lan.Checksum
	flow     flow
	service  machine.Service
	client   Client
	datagram datagramID
	port     uint16 // of the client; UDP only
	probed   bool   // it went to the machine, which has not refused it (Ask)

	first, last time.Time // when it came, and when it was repeated last
}

// whole tells the parts of a fragmented packet, together with its ends, from those
// of others. The zero value is that of a packet which is none.
type datagramID struct {
	fragment bool
	of       byte
	id       uint32
}

func datagramOf(p *lan.Packet) datagramID { return datagramID{p.Fragment, p.FragmentOf, p.FragmentID} }

// flow tells a TCP segment's retransmission from a new one. A SYN stands for
// its whole connection.
type flow struct {
	from, to netip.AddrPort
	seq      uint32
	syn      bool
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

// repeat puts a retransmission in the place of the packet i: the client's clock
// has gone on, so that the later one is the better. One that is larger than there
// is memory for is not worth the place of others.
func (h *Hold) repeat(i int, w packet, frame []byte) {
	before := h.packets[i].frame
	w.first, h.packets[i].last = h.packets[i].first, w.last
	if !h.account.take(memoryOf(len(frame)) - memoryOf(len(before))) {
		return
	}
	w.frame = overwrite(before, frame)
	*h.packets[i] = w
}

// overwrite returns a copy of frame, in the place of another of the same length:
// the packets of a flood are alike, and so cost no allocation.
func overwrite(before, frame []byte) []byte {
	if len(before) != len(frame) {
		return slices.Clone(frame)
	}
	copy(before, frame)
	return before
}

// remove takes out the chosen packets, and returns how many.
func (h *Hold) remove(chosen func(*packet) bool) int {
	before := len(h.packets)
	h.packets = slices.DeleteFunc(h.packets, func(w *packet) bool {
		if !chosen(w) {
			return false
		}
		h.releaseMemory(w)
		return true
	})
	n := before - len(h.packets)
	if n == before {
		h.packets, h.shares = nil, nil // the room for as many as there were once is memory too
	}
	return n
}

// leave gives back what a packet has taken.
func (h *Hold) releaseMemory(w *packet) {
	h.account.give(w.memory())
	if h.shares[w.client.IP]--; h.shares[w.client.IP] == 0 {
		delete(h.shares, w.client.IP)
	}
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
