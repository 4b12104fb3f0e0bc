package porter

import (
	"net/netip"
	"sync"
	"time"

	"nightporter/internal/ether"
)

const (
	// routersInterval is how often the MACs of the gateways are updated.
	routersInterval = time.Minute

	// routersMemory is how long a gateway is remembered. It may restart meanwhile.
	routersMemory = time.Hour

	// maxRouters bounds the remembered addresses, and the remembered MACs.
	maxRouters = 64
)

// routers remembers the MACs of the gateways of an interface, and the other addresses at
// these MACs. No host may register them while a gateway restarts. It is safe for
// concurrent use.
type routers struct {
	mu    sync.Mutex
	macs  map[ether.MAC]interval
	addrs map[netip.Addr]interval
}

// interval is when an entry was seen first and last. A single forged frame makes an entry
// for a moment; only an entry that was seen for a while is remembered.
type interval struct{ first, last time.Time }

func (s interval) remembered(now time.Time) bool {
	return s.last.Sub(s.first) >= routersInterval && now.Sub(s.last) < routersMemory
}

// learn updates the MACs and other addresses of the gateways from what the kernel and the
// readers know. It returns the MACs.
func (r *routers) learn(now time.Time, gateways []netip.Addr, known ...map[netip.Addr]ether.MAC) []ether.MAC {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ip := range gateways {
		for _, at := range known {
			if mac, ok := at[ip]; ok {
				noteSeen(&r.macs, mac, now)
			}
		}
	}
	for _, at := range known {
		for ip, mac := range at {
			if r.macs[mac].last.Equal(now) {
				noteSeen(&r.addrs, ip, now)
			}
		}
	}
	var macs []ether.MAC
	for mac, s := range r.macs {
		if s.last.Equal(now) || s.remembered(now) {
			macs = append(macs, mac)
		}
	}
	return macs
}

// noteSeen records that k was seen now. When the table is full, entries that were seen only
// briefly are removed.
func noteSeen[K comparable](all *map[K]interval, k K, now time.Time) {
	if *all == nil {
		*all = make(map[K]interval)
	}
	s, known := (*all)[k]
	if !known || now.Sub(s.last) >= routersMemory {
		s.first = now
	}
	s.last = now
	if !known && len(*all) >= maxRouters {
		for other, s := range *all {
			if !s.last.Equal(now) && !s.remembered(now) {
				delete(*all, other)
			}
		}
		if len(*all) >= maxRouters {
			return
		}
	}
	(*all)[k] = s
}

// has reports whether ip is or was an address of a gateway.
func (r *routers) has(ip netip.Addr, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addrs[ip].remembered(now)
}
