package fastpath

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/time/rate"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

const (
	// maxHosts bounds the remembered hosts, so that a flood of invented ones does not fill
	// the memory. The hosts that were heard least recently are dropped.
	maxHosts = 512

	// newHostRate and newHostBurst limit new hosts, in hosts per second: a flood of invented
	// ones takes a minute to displace a silent host.
	newHostRate  = 4
	newHostBurst = 128
)

// Host is another host on the LAN.
type Host struct {
	MAC ether.MAC
	IP  netip.Addr
}

// hosts are the other hosts on the LAN that sent ARP or neighbor discovery: for each MAC the
// latest address of a family, however many it has.
type hosts struct {
	mu            sync.Mutex
	newHosts      *rate.Limiter
	clock         uint64                // counts frames
	recent, older map[hostKey]heardHost // older is dropped when recent is half of maxHosts
}

type hostKey struct {
	mac  ether.MAC
	ipv6 bool
}

type heardHost struct {
	ip netip.Addr
	at uint64
}

func (h *hosts) note(ip netip.Addr, mac ether.MAC) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := hostKey{mac, ip.Is6()}
	if _, known := h.recent[key]; !known {
		if _, known = h.older[key]; !known && !h.newHosts.Allow() {
			return
		}
		if len(h.recent) >= maxHosts/2 {
			h.recent, h.older = make(map[hostKey]heardHost), h.recent
		}
	}
	h.clock++
	h.recent[key] = heardHost{ip, h.clock}
}

// Hosts returns at most limit other hosts on the LAN with an address of the family each, the
// latest first.
func (r *Reader) Hosts(ipv6 bool, limit int) []Host {
	h := &r.hosts
	h.mu.Lock()
	defer h.mu.Unlock()
	latest := maps.Clone(h.older)
	maps.Copy(latest, h.recent)
	keys := slices.DeleteFunc(slices.Collect(maps.Keys(latest)), func(k hostKey) bool { return k.ipv6 != ipv6 })
	slices.SortFunc(keys, func(a, b hostKey) int { return cmp.Compare(latest[b].at, latest[a].at) })
	all := make([]Host, min(len(keys), limit))
	for i := range all {
		all[i] = Host{keys[i].mac, latest[keys[i]].ip}
	}
	return all
}

// NeighborMACs returns the MACs of the addresses that other hosts on the LAN used last.
func (r *Reader) NeighborMACs() map[netip.Addr]ether.MAC {
	at := make(map[netip.Addr]ether.MAC)
	for _, ipv6 := range []bool{false, true} {
		for _, host := range slices.Backward(r.Hosts(ipv6, maxHosts)) { // the latest goes last
			at[host.IP] = host.MAC
		}
	}
	return at
}

// noteHost records a host that is not monitored and sent ARP or neighbor discovery: it may
// become a client. A tested address counts as used.
func (r *Reader) noteHost(v *View, p *lan.Packet) {
	ip := p.From
	if kind, tested := senderAddress(p); kind == SawTest {
		ip = tested
	}
	mac := p.Src
	if v.addrs[ip] == nil && mac != r.responder.Self && mac.Unicast() && (ip.IsGlobalUnicast() || ip.IsLinkLocalUnicast()) {
		r.hosts.note(ip, mac)
	}
}
