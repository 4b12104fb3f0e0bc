package fastpath

import (
	"net/netip"
	"sync"

	"nightporter/internal/ether"
)

// Requester is a neighbor that requested an address of a machine, or sent to it, and may
// have the wrong MAC for it.
type Requester struct {
	Addr netip.Addr // the machine's
	MAC  ether.MAC  // the neighbor's
}

// MaxRequesters bounds the requesters of one machine, so that a flood of invented ones does
// not fill the memory. Further ones get no correction.
const MaxRequesters = 256

// requesters are the requesters that the loop has not taken, with their own addresses.
type requesters struct {
	mu          sync.Mutex
	byRequester map[Requester]netip.Addr
}

// add adds a requester with its own address, if there is room.
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

// TakeRequesters returns the requesters with their own addresses, and clears the list.
func (t *Target) TakeRequesters() map[Requester]netip.Addr {
	q := &t.requesters
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.byRequester
	q.byRequester = nil
	return all
}
