package handover

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"nightporter/internal/machine"
)

// mode is what happens to packets for a machine.
type mode uint32

const (
	closed         mode = iota // the machine gets them itself
	holdingAll                 // knocks are held
	holdingUnready             // knocks at services that are not ready are held
	open                       // all are forwarded
)

// Hold holds the packets of clients while a machine boots. Its methods are safe for
// concurrent use: the readers bring packets, the loop changes the mode.
type Hold struct {
	held, replayed, dropped atomic.Uint64

	mode    atomic.Uint32           // written under mu
	replies atomic.Pointer[replies] // written under mu

	mu      sync.Mutex
	account account
	limit   int // packets
	packets []*packet
	shares  map[netip.Addr]int // packets by source
	ready   []machine.Service  // services that are ready
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

// replies is what the machine may send in reply to datagrams that probe their service. It
// never changes, so readers take no lock.
type replies struct {
	probes  []probe
	clients []diverted
}

// probe is a datagram that went to the machine and may be refused.
type probe struct {
	service machine.Service
	client  netip.AddrPort
}

// diverted is a client for which the machine's neighbor entry has our MAC. Packets of the
// machine to that MAC are for the client, also after the entry was corrected.
type diverted struct {
	Client
	undivertDue bool         // the machine's entry still has to be corrected
	byKernel    bool         // our own kernel forwards what comes for the client
	guarded     []netip.Addr // addresses of the machine whose packets it does not forward
}

// routed reports whether our own kernel forwards packets from an address.
func (d *diverted) routed(from netip.Addr) bool {
	return d.byKernel && !slices.Contains(d.guarded, from)
}

// maxDiverted bounds how many clients of a machine are diverted at a time.
const maxDiverted = 64
