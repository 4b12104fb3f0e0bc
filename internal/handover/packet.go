package handover

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// maxFrame is the largest frame that is held, in bytes: a jumbo frame. Segments that the
// kernel has merged into a larger one are sent again by their client.
const maxFrame = 9216

// packet is a held packet.
type packet struct {
	frame    []byte
	sum      lan.Checksum
	flow     flow
	service  machine.Service
	client   Client
	datagram datagramID
	port     uint16 // of the client; UDP only
	probed   bool   // it went to the machine as a probe, and was not refused

	first, last time.Time // when it arrived, and when it was repeated last
}

// datagramID, together with both addresses, identifies the datagram of a fragment. The zero
// value is that of a packet that is no fragment.
type datagramID struct {
	fragment bool
	of       byte
	id       uint32
}

func datagramOf(p *lan.Packet) datagramID { return datagramID{p.Fragment, p.FragmentOf, p.FragmentID} }

// flow identifies a TCP segment, so that a retransmission is recognized. A SYN stands for
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

// remove removes the chosen packets, and returns how many.
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
		h.packets, h.shares = nil, nil // free the memory of the slice and the map
	}
	return n
}

// releaseMemory gives back the memory of a packet, and updates its source's share.
func (h *Hold) releaseMemory(w *packet) {
	h.account.give(w.memory())
	if h.shares[w.client.IP]--; h.shares[w.client.IP] == 0 {
		delete(h.shares, w.client.IP)
	}
}

// flowOf returns the flow of a packet, or the zero flow if it is not TCP.
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
