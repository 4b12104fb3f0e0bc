package porter

import (
	"net/netip"
	"sync"
	"time"

	"nightporter/internal/ether"
)

const (
	// routersEvery is how often it is looked where the gateways are.
	routersInterval = time.Minute

	// routersFor is how long it is remembered: a gateway that restarts is off
	// meanwhile.
	routersMemory = time.Hour

	// maxRouters bounds what is remembered, of addresses and of MACs.
	maxRouters = 64
)

// routers remembers where the gateways of an interface are, and which other addresses
// they have. While one restarts another host must not get its addresses.
type routers struct {
	mu    sync.Mutex
	macs  map[ether.MAC]interval
	addrs map[netip.Addr]interval
}

// seen is when something was known to be so. One forged frame can have it known for a
// moment: what is remembered was so for a while.
type interval struct{ first, last time.Time }

func (s interval) remembered(now time.Time) bool {
	return s.last.Sub(s.first) >= routersInterval && now.Sub(s.last) < routersMemory
}

// learn takes in where the gateways are as far as the kernel and the readers know, and
// which other addresses are there. It returns their MACs.
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

// note takes in that something is so now. What is not so any more, and was not for long,
// makes room.
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

// has reports whether a gateway has ip, or had it.
func (r *routers) has(ip netip.Addr, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addrs[ip].remembered(now)
}
