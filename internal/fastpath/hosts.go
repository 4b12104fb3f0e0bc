package fastpath

import (
	"net/netip"
	"sync"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// maxHosts bounds how many addresses of other hosts are known: a flood of invented
// ones must not fill the memory. It pushes out those that were not heard since.
const maxHosts = 512

// hosts are the other hosts on the LAN, as they were heard by ARP and neighbour
// discovery.
type hosts struct {
	mu             sync.Mutex
	recent, before map[netip.Addr]machine.MAC // before is dropped when recent is half of maxHosts
}

func (h *hosts) note(ip netip.Addr, mac machine.MAC) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.recent[ip] == mac {
		return
	}
	if h.recent == nil || len(h.recent) >= maxHosts/2 {
		h.recent, h.before = make(map[netip.Addr]machine.MAC), h.recent
	}
	h.recent[ip] = mac
}

// Hosts returns the other hosts that were heard on the LAN: an address of the family
// for each MAC.
func (r *Reader) Hosts(six bool) map[machine.MAC]netip.Addr {
	h := &r.hosts
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make(map[machine.MAC]netip.Addr)
	for _, some := range []map[netip.Addr]machine.MAC{h.before, h.recent} {
		for ip, mac := range some {
			if ip.Is6() == six {
				all[mac] = ip
			}
		}
	}
	return all
}

// noteHost takes ARP or neighbour discovery of a host that is not watched: it may
// become a client. What it tests it will use.
func (r *Reader) noteHost(v *View, p *lan.Packet) {
	ip := p.From
	if kind, tested := spokenFor(p); kind == SawTest {
		ip = tested
	}
	mac := p.Src
	if v.addrs[ip] == nil && mac != r.responder.Self && mac.Unicast() && (ip.IsGlobalUnicast() || ip.IsLinkLocalUnicast()) {
		r.hosts.note(ip, mac)
	}
}
