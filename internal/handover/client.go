package handover

import (
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// Guest is a client that waits, as its neighbours see it: behind a router it
// has the router's MAC.
type Client struct {
	MachineIP netip.Addr // of the machine
	MAC       ether.MAC  // in whose frames its packets come
	IP        netip.Addr // of the client
}

// Guests returns everybody who waits, each once.
func (h *Hold) Clients() []Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clients(allServices)
}

// Leaving returns those who wait for nothing but service.
func (h *Hold) ClientsOnlyOf(service machine.Service) []Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	stay := h.clients(func(s machine.Service) bool { return s != service })
	return slices.DeleteFunc(h.clients(func(s machine.Service) bool { return s == service }), func(g Client) bool {
		return slices.ContainsFunc(stay, g.sameNeighbor)
	})
}

// together reports whether o is reached by the same neighbour entry.
func (g Client) sameNeighbor(o Client) bool { return g.MachineIP == o.MachineIP && g.MAC == o.MAC }

func (h *Hold) clients(of func(machine.Service) bool) (all []Client) {
	for _, w := range h.packets {
		if of(w.service) && !slices.ContainsFunc(all, w.client.sameNeighbor) {
			all = append(all, w.client)
		}
	}
	return all
}

// Waits reports whether a client with this MAC waits at ip, and has to be kept
// with us because the machine is about to take others.
func (h *Hold) HasClient(ip netip.Addr, mac ether.MAC) bool {
	if !h.HoldsUnready() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.packets, func(w *packet) bool { return w.client.MachineIP == ip && w.client.MAC == mac })
}
