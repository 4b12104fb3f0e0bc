package handover

import (
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// maxDiverted bounds how many clients a machine is told to find at our MAC.
const maxDiverted = 64

// replies is what the machine may send in reply to datagrams that ask whether their
// service is there. It never changes, so that readers take no lock.
type replies struct {
	probes  []probe
	clients []diverted
}

// ask is a datagram that went to the machine and may be refused.
type probe struct {
	service machine.Service
	client  netip.AddrPort
}

// diverted is a client that the machine was told to find at our MAC. What it sends
// there is for the client, also after it was told better.
type diverted struct {
	Client
	undivertDue bool         // the machine is still to be told its true MAC
	byKernel    bool         // our own kernel forwards what comes for the client
	guarded     []netip.Addr // addresses of the machine: what comes from them it does not forward
}

// routed reports whether our own kernel sends on what comes from an address.
func (d *diverted) routed(from netip.Addr) bool {
	return d.byKernel && !slices.Contains(d.guarded, from)
}

// Reply is what a packet of the machine is that came to our MAC for somebody else.
type Reply uint8

// The kinds of replies.
const (
	NoReply  Reply = iota // it has to do with no datagram that asks
	Refusal               // it refuses one; its client must not hear of that
	ToClient              // it is for the client, and has to be sent on
	Routed                // it is for the client, and our own kernel sends it on
)

// Reply says what the IP packet p is that the machine sent to our MAC: with a Refusal
// for which service, and otherwise where the client is.
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

// Asker returns the client whose datagram is to ask for service: the one that has
// waited longest, of those whose refusal is heard if there are any.
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
func (h *Hold) CanDivert(g Client) bool {
	r := h.replies.Load()
	return r == nil || len(r.clients) < maxDiverted || r.client(g.IP) != nil
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

// Divert notes that the machine is told to find a client at our MAC. byKernel says
// that our own kernel forwards what comes for it, but for what comes from the guarded
// addresses of the machine.
func (h *Hold) Divert(g Client, byKernel bool, guarded ...netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.repliesNow()
	d := diverted{Client: g, undivertDue: true, byKernel: byKernel, guarded: guarded}
	if c := r.client(g.IP); c != nil {
		*c = d
	} else {
		r.clients = append(r.clients, d)
	}
	h.replies.Store(r)
}

// EndGuard has our own kernel forward what comes from some addresses again, if it does.
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

// repliesNow returns a copy of the replies, to be changed.
func (h *Hold) repliesNow() *replies {
	r := h.replies.Load()
	if r == nil {
		return new(replies)
	}
	return &replies{probes: slices.Clone(r.probes), clients: slices.Clone(r.clients)}
}

// Ask sends the oldest datagram of a client that waits for service, with all its
// fragments that are there. It stays, for the case that it is refused.
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

// Refused says that the machine refused the datagram that asked for service: it has
// not had it.
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

// endAsks forgets the datagrams that asked for some of the services: what the machine
// says of them from now on is for their clients.
func (h *Hold) endProbes(of func(machine.Service) bool) {
	r := h.repliesNow()
	if len(r.probes) == 0 {
		return
	}
	r.probes = slices.DeleteFunc(r.probes, func(a probe) bool { return of(a.service) })
	h.replies.Store(r)
}

// EndAsks ends all questions, without an outcome.
func (h *Hold) EndProbes() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endProbes(allServices)
}

// forgetAsks forgets all that was sent to ask: nothing came of it.
func (h *Hold) forgetProbes() {
	h.replies.Store(nil)
	for _, w := range h.packets {
		w.probed = false
	}
}

// Undivert returns the clients that the machine is to be told the true MAC of: those
// whose datagrams do not ask any more. They are returned once.
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
