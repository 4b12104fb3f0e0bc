package fastpath

import (
	"net/netip"
	"sync"

	"nightporter/internal/ether"
)

// Requester is a neighbour that asked for an address of a machine, or sent to it, and
// may have it at the wrong MAC.
type Requester struct {
	Addr netip.Addr // the machine's
	MAC  ether.MAC  // the neighbour's
}

// MaxRequesters bounds how many requesters are kept of one machine: a flood of
// invented ones must not fill the memory. The ones that find no room are left with
// the answer that reached them first.
const MaxRequesters = 256

// requesters are those that the loop has not taken, with their own addresses.
type requesters struct {
	mu          sync.Mutex
	byRequester map[Requester]netip.Addr
}

// add notes a requester with its own address, if there is room.
func (q *requesters) add(who Requester, ip netip.Addr) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byRequester == nil {
		q.byRequester = make(map[Requester]netip.Addr)
	}
	if _, known := q.byRequester[who]; known || len(q.byRequester) < MaxRequesters {
		q.byRequester[who] = ip
	}
}

// TakeRequesters returns the requesters with their own addresses, and forgets them.
func (t *Target) TakeRequesters() map[Requester]netip.Addr {
	q := &t.requesters
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.byRequester
	q.byRequester = nil
	return all
}
