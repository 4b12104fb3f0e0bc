package handover

import (
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// Reply is the kind of a machine's packet that came to our MAC but is for another host.
type Reply uint8

// The kinds of replies.
const (
	NoReply  Reply = iota // for no diverted client
	Refusal               // a "port unreachable" to a probe; its client must not get it
	ToClient              // for the client; the reader forwards it
	Routed                // for the client; our own kernel forwards it
)

// Reply returns the kind of the IP packet p that the machine sent to our MAC: for a Refusal
// the service, otherwise the client's MAC.
func (h *Hold) Reply(p *lan.Packet) (kind Reply, service machine.Service, client ether.MAC) {
	r := h.replies.Load()
	if r == nil {
		return NoReply, service, client
	}
	if p.Kind == lan.PortUnreachable {
		to := netip.AddrPortFrom(p.To, p.FromPort)
		for _, a := range r.probes {
			if a.client == to && a.service.Addr == p.Target && a.service.Number == p.ToPort {
				return Refusal, a.service, client
			}
		}
	}
	switch c := r.client(p.To); {
	case c == nil:
		return NoReply, service, client
	case c.routed(p.From):
		return Routed, service, c.MAC
	default:
		return ToClient, service, c.MAC
	}
}

// ProbeClient returns the client whose datagram is to probe a service: the one that has
// waited longest, if possible one whose "port unreachable" is seen.
func (h *Hold) ProbeClient(service machine.Service, heard func(Client) bool) (asker Client, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.packets {
		switch {
		case w.service != service:
		case heard(w.client):
			return w.client, true
		case !ok:
			asker, ok = w.client, true
		}
	}
	return asker, ok
}

// CanDivert reports whether there is room for a client to be diverted.
func (h *Hold) CanDivert(client Client) bool {
	r := h.replies.Load()
	return r == nil || len(r.clients) < maxDiverted || r.client(client.IP) != nil
}

// client returns the diverted client of an address, or nil.
func (r *replies) client(ip netip.Addr) *diverted {
	for i := range r.clients {
		if r.clients[i].IP == ip {
			return &r.clients[i]
		}
	}
	return nil
}

// Divert records that the machine's neighbor entry of a client gets our MAC. byKernel means
// that our own kernel forwards packets for the client, except those from the guarded
// addresses of the machine.
func (h *Hold) Divert(client Client, byKernel bool, guarded ...netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.repliesNow()
	d := diverted{Client: client, undivertDue: true, byKernel: byKernel, guarded: guarded}
	if c := r.client(client.IP); c != nil {
		*c = d
	} else {
		r.clients = append(r.clients, d)
	}
	h.replies.Store(r)
}

// EndGuard records that packets from some addresses are no longer kept from our own kernel.
func (h *Hold) EndGuard(addrs []netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.repliesNow()
	for i := range r.clients {
		c := &r.clients[i]
		c.guarded = slices.DeleteFunc(slices.Clone(c.guarded), func(ip netip.Addr) bool { return slices.Contains(addrs, ip) })
	}
	if len(r.clients) > 0 {
		h.replies.Store(r)
	}
}

// repliesNow returns a copy of the replies to change.
func (h *Hold) repliesNow() *replies {
	r := h.replies.Load()
	if r == nil {
		return new(replies)
	}
	return &replies{probes: slices.Clone(r.probes), clients: slices.Clone(r.clients)}
}

// SendProbe sends the oldest held datagram of a client for a service, with all its held
// fragments. They stay held in case the machine refuses them.
func (h *Hold) SendProbe(service machine.Service, asker Client, send Send) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.packets, func(w *packet) bool { return w.service == service && w.client == asker })
	if i < 0 {
		return
	}
	first := h.packets[i]
	r := h.repliesNow()
	r.probes = append(r.probes, probe{service, netip.AddrPortFrom(first.client.IP, first.port)})
	h.replies.Store(r)
	for _, w := range h.packets[i:] {
		if w == first || w.datagram.fragment && w.datagram == first.datagram && w.client == first.client {
			w.probed = send(slices.Clone(w.frame), w.sum) == nil // send changes what it sends
		}
	}
}

// ProbeRefused records that the machine refused the datagram that probed a service, so the
// service has not received it.
func (h *Hold) ProbeRefused(service machine.Service) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.packets {
		if w.service == service {
			w.probed = false
		}
	}
	h.endProbes(func(s machine.Service) bool { return s == service })
}

// endProbes ends the probes of some services: later replies are for their clients.
func (h *Hold) endProbes(of func(machine.Service) bool) {
	r := h.repliesNow()
	if len(r.probes) == 0 {
		return
	}
	r.probes = slices.DeleteFunc(r.probes, func(a probe) bool { return of(a.service) })
	h.replies.Store(r)
}

// EndProbes ends all probes without a result.
func (h *Hold) EndProbes() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endProbes(allServices)
}

// forgetProbes ends all probes, and treats their datagrams as not sent.
func (h *Hold) forgetProbes() {
	h.replies.Store(nil)
	for _, w := range h.packets {
		w.probed = false
	}
}

// Undivert returns the diverted clients whose datagrams no longer probe, each once. The
// machine's entries for them have to be corrected.
func (h *Hold) Undivert() (clients []Client) {
	r := h.replies.Load()
	if r == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r = h.repliesNow()
	for i := range r.clients {
		c := &r.clients[i]
		asks := slices.ContainsFunc(r.probes, func(a probe) bool { return a.client.Addr() == c.IP })
		if c.undivertDue && !asks {
			c.undivertDue = false
			clients = append(clients, c.Client)
		}
	}
	if len(clients) > 0 {
		h.replies.Store(r)
	}
	return clients
}
