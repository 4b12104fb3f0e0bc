package handover

import (
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// Clients returns all clients with held packets, each once.
func (h *Hold) Clients() []Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clients(allServices)
}

// ClientsOnlyOf returns the clients whose held packets are all for service.
func (h *Hold) ClientsOnlyOf(service machine.Service) []Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	stay := h.clients(func(s machine.Service) bool { return s != service })
	return slices.DeleteFunc(h.clients(func(s machine.Service) bool { return s == service }), func(g Client) bool {
		return slices.ContainsFunc(stay, g.sameNeighbor)
	})
}

func (h *Hold) clients(of func(machine.Service) bool) (all []Client) {
	for _, w := range h.packets {
		if of(w.service) && !slices.ContainsFunc(all, w.client.sameNeighbor) {
			all = append(all, w.client)
		}
	}
	return all
}

// HasClient reports whether packets of a client with this MAC to ip are held while other
// services of the machine are ready.
func (h *Hold) HasClient(ip netip.Addr, mac ether.MAC) bool {
	if !h.HoldsUnready() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.packets, func(w *packet) bool { return w.client.MachineIP == ip && w.client.MAC == mac })
}
