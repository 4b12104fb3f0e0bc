package handover

import (
	"slices"
	"time"
)

// A client that still waits repeats its SYN after no more than twice the time that
// it has waited, the first time after 1 to 3 s (RFC 6298 section 5.5 and 2.1).
const leastRepeat = 4 * time.Second

// alive reports whether a client waits for the packet at now: it is a SYN, and its
// next repetition may still come. machine.tries judges a whole wake in the same way.
func (w *packet) alive(now time.Time) bool {
	return w.flow.syn && now.Sub(w.last) < max(leastRepeat, 2*w.last.Sub(w.first))
}

// room makes room for w, at the cost of another packet, which it returns. A
// sender of datagrams expects to lose some, and no client waits for a SYN that is not
// repeated: the source that has most loses its oldest of these. Where a client waits
// for each packet, w takes the place of one only if its source has fewer.
func (h *Hold) room(w *packet) (displaced *packet, ok bool) {
	if len(h.packets) < h.limit {
		return nil, true
	}
	i := h.mostOf(func(o *packet) bool { return !o.alive(w.first) })
	if i < 0 && w.flow.syn {
		i = h.mostOf(func(o *packet) bool { return h.shares[o.guest.IP] > h.shares[w.guest.IP]+1 })
	}
	if i < 0 {
		return nil, false
	}
	displaced = h.packets[i]
	h.packets = slices.Delete(h.packets, i, i+1)
	h.leave(displaced)
	h.lose(w.first, displaced)
	return displaced, true
}

// lose counts a packet that gave way. A SYN that its client has given up is no loss.
func (h *Hold) lose(now time.Time, w *packet) {
	if !w.flow.syn || w.alive(now) {
		h.dropped.Add(1)
	}
}

// mostOf returns the oldest of the packets that may go, of the source that has most
// packets of all, or -1 if none may.
func (h *Hold) mostOf(may func(*packet) bool) int {
	most, share := -1, 0
	for i, o := range h.packets {
		if n := h.shares[o.guest.IP]; n > share && may(o) {
			most, share = i, n
		}
	}
	return most
}

// pay takes octets of memory for a packet. A SYN has those of the oldest packets
// that no client waits for, if there are no others: its own client waits.
func (h *Hold) pay(now time.Time, octets int64, syn bool) bool {
	if h.account.take(octets) {
		return true
	}
	return syn && h.displace(now, octets) && h.account.take(octets)
}

// displace gives up the oldest packets that no client waits for, until octets could be
// taken. It gives up none if all of them would not be enough.
func (h *Hold) displace(now time.Time, octets int64) bool {
	var given int64
	for i := range h.packets {
		if h.packets[i].alive(now) {
			continue
		}
		if given += h.packets[i].cost(); !h.account.fits(octets, given) {
			continue
		}
		at := -1
		h.remove(func(w *packet) bool {
			at++
			if at > i || w.alive(now) {
				return false
			}
			h.lose(now, w)
			return true
		})
		return true
	}
	return false
}
