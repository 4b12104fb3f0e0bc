package handover

import (
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// Guest is a client that waits, as its neighbours see it: behind a router it
// has the router's MAC.
type Guest struct {
	Addr netip.Addr // of the machine
	MAC  ether.MAC  // in whose frames its packets come
	IP   netip.Addr // of the client
}

// Guests returns everybody who waits, each once.
func (h *Hold) Guests() []Guest {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.guests(everyone)
}

// Leaving returns those who wait for nothing but service.
func (h *Hold) Leaving(service machine.Service) []Guest {
	h.mu.Lock()
	defer h.mu.Unlock()
	stay := h.guests(func(s machine.Service) bool { return s != service })
	return slices.DeleteFunc(h.guests(func(s machine.Service) bool { return s == service }), func(g Guest) bool {
		return slices.ContainsFunc(stay, g.together)
	})
}

// together reports whether o is reached by the same neighbour entry.
func (g Guest) together(o Guest) bool { return g.Addr == o.Addr && g.MAC == o.MAC }

func (h *Hold) guests(of func(machine.Service) bool) (all []Guest) {
	for _, w := range h.packets {
		if of(w.service) && !slices.ContainsFunc(all, w.guest.together) {
			all = append(all, w.guest)
		}
	}
	return all
}

// Waits reports whether a client with this MAC waits at ip, and has to be kept
// with us because the machine is about to take others.
func (h *Hold) Waits(ip netip.Addr, mac ether.MAC) bool {
	if !h.Passing() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.packets, func(w *packet) bool { return w.guest.Addr == ip && w.guest.MAC == mac })
}
