package handover

import (
	"slices"
	"time"
)

// A client that still waits repeats its SYN after no more than twice the time that
// it has waited, the first time after 1 to 3 s (RFC 6298 section 5.5 and 2.1).
const minRepeat = 4 * time.Second

// alive reports whether a client waits for the packet at now: it is a SYN, and its
// next repetition may still come. machine.tries judges a whole wake in the same way.
func (w *packet) clientWaits(now time.Time) bool {
	return w.flow.syn && now.Sub(w.last) < max(minRepeat, 2*w.last.Sub(w.first))
}

// room makes room for w, at the cost of another packet, which it returns. A
// sender of datagrams expects to lose some, and no client waits for a SYN that is not
// repeated: the source that has most loses its oldest of these. Where a client waits
// for each packet, w takes the place of one only if its source has fewer.
func (h *Hold) makeRoom(w *packet) (displaced *packet, ok bool) {
	if len(h.packets) < h.limit {
		return nil, true
	}
	i := h.oldestOfBiggestSource(func(o *packet) bool { return !o.clientWaits(w.first) })
	if i < 0 && w.flow.syn {
		i = h.oldestOfBiggestSource(func(o *packet) bool { return h.shares[o.client.IP] > h.shares[w.client.IP]+1 })
	}
	if i < 0 {
		return nil, false
	}
	displaced = h.packets[i]
	h.packets = slices.Delete(h.packets, i, i+1)
	h.releaseMemory(displaced)
	h.countDropped(w.first, displaced)
	return displaced, true
}

// lose counts a packet that gave way. A SYN that its client has given up is no loss.
func (h *Hold) countDropped(now time.Time, w *packet) {
	if !w.flow.syn || w.clientWaits(now) {
		h.dropped.Add(1)
	}
}

// mostOf returns the oldest of the packets that may go, of the source that has most
// packets of all, or -1 if none may.
func (h *Hold) oldestOfBiggestSource(may func(*packet) bool) int {
	most, share := -1, 0
	for i, o := range h.packets {
		if n := h.shares[o.client.IP]; n > share && may(o) {
			most, share = i, n
		}
	}
	return most
}

// pay takes octets of memory for a packet. A SYN has those of the oldest packets
// that no client waits for, if there are no others: its own client waits.
func (h *Hold) takeMemory(now time.Time, bytes int64, syn bool) bool {
	if h.account.take(bytes) {
		return true
	}
	return syn && h.displaceAbandoned(now, bytes) && h.account.take(bytes)
}

// displace gives up the oldest packets that no client waits for, until octets could be
// taken. It gives up none if all of them would not be enough.
func (h *Hold) displaceAbandoned(now time.Time, bytes int64) bool {
	var given int64
	for i := range h.packets {
		if h.packets[i].clientWaits(now) {
			continue
		}
		if given += h.packets[i].memory(); !h.account.fits(bytes, given) {
			continue
		}
		at := -1
		h.remove(func(w *packet) bool {
			at++
			if at > i || w.clientWaits(now) {
				return false
			}
			h.countDropped(now, w)
			return true
		})
		return true
	}
	return false
}
