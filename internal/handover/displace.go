package handover

import (
	"slices"
	"time"
)

// minRepeat is the time within which a waiting client repeats its SYN at least: the first
// time after 1 to 3 s, then after at most twice the time so far (RFC 6298 sections 2.1
// and 5.5).
const minRepeat = 4 * time.Second

// clientWaits reports whether a client waits for the packet at now: it is a SYN, and its
// next repetition may still come. machine.tries judges a whole wake in the same way.
func (w *packet) clientWaits(now time.Time) bool {
	return w.flow.syn && now.Sub(w.last) < max(minRepeat, 2*w.last.Sub(w.first))
}

// makeRoom makes room for w. If it displaces another packet it returns that. Datagrams and
// SYNs that are no longer repeated go first: the oldest of the source with most packets.
// If a client waits for each packet, w displaces one only if its own source has fewer.
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

// countDropped counts a displaced packet, unless it is a SYN that its client has given up.
func (h *Hold) countDropped(now time.Time, w *packet) {
	if !w.flow.syn || w.clientWaits(now) {
		h.dropped.Add(1)
	}
}

// oldestOfBiggestSource returns the index of the oldest packet that may go, of the source
// with most packets, or -1 if none may.
func (h *Hold) oldestOfBiggestSource(may func(*packet) bool) int {
	most, share := -1, 0
	for i, o := range h.packets {
		if n := h.shares[o.client.IP]; n > share && may(o) {
			most, share = i, n
		}
	}
	return most
}

// takeMemory takes bytes for a packet. If there are none, a SYN gets those of the oldest
// packets that no client waits for.
func (h *Hold) takeMemory(now time.Time, bytes int64, syn bool) bool {
	if h.account.take(bytes) {
		return true
	}
	return syn && h.displaceAbandoned(now, bytes) && h.account.take(bytes)
}

// displaceAbandoned drops the oldest packets that no client waits for, until the bytes could
// be taken. It drops none if all of them would not be enough.
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
