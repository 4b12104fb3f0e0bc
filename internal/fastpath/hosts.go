package fastpath

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// maxHosts bounds how many addresses of other hosts are known: a flood of invented
// ones must not fill the memory. It pushes out those that were not heard since.
const maxHosts = 512

// Host is another host on the LAN.
type Host struct {
	MAC machine.MAC
	IP  netip.Addr
}

// hosts are the other hosts on the LAN, as they were heard by ARP and neighbour
// discovery.
type hosts struct {
	mu             sync.Mutex
	clock          uint64               // counts what was heard
	recent, before map[netip.Addr]heard // before is dropped when recent is half of maxHosts
}

type heard struct {
	mac machine.MAC
	at  uint64
}

func (h *hosts) note(ip netip.Addr, mac machine.MAC) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.recent[ip]; !known && (h.recent == nil || len(h.recent) >= maxHosts/2) {
		h.recent, h.before = make(map[netip.Addr]heard), h.recent
	}
	h.clock++
	h.recent[ip] = heard{mac, h.clock}
}

// Hosts returns the other hosts that were heard on the LAN, with an address of the
// family each, the latest first and at most so many.
func (r *Reader) Hosts(six bool, most int) []Host {
	h := &r.hosts
	h.mu.Lock()
	defer h.mu.Unlock()
	latest := make(map[Host]uint64)
	for _, some := range []map[netip.Addr]heard{h.before, h.recent} {
		for ip, e := range some {
			if ip.Is6() == six {
				latest[Host{e.mac, ip}] = e.at
			}
		}
	}
	all := make([]Host, 0, len(latest))
	for host := range latest {
		all = append(all, host)
	}
	slices.SortFunc(all, func(a, b Host) int { return cmp.Compare(latest[b], latest[a]) })
	seen := make(map[machine.MAC]bool)
	all = slices.DeleteFunc(all, func(host Host) bool {
		again := seen[host.MAC]
		seen[host.MAC] = true
		return again
	})
	return all[:min(len(all), most)]
}

// Heard returns at which MAC each address of another host was heard last.
func (r *Reader) Heard() map[netip.Addr]machine.MAC {
	h := &r.hosts
	h.mu.Lock()
	defer h.mu.Unlock()
	at := make(map[netip.Addr]machine.MAC, len(h.before)+len(h.recent))
	for _, some := range []map[netip.Addr]heard{h.before, h.recent} {
		for ip, e := range some {
			at[ip] = e.mac
		}
	}
	return at
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
