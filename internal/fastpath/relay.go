package fastpath

import (
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// relayed takes an IP packet that a machine sent to our MAC for a client: while the
// client's datagram asks whether its service is there, the machine has the client at
// our MAC. A refusal goes no further, all else goes on. It reports whether p was one
// of these.
func (r *Reader) relay(t *Target, p *lan.Packet) bool {
	if p.Dst != r.responder.Self || p.Network == 0 || isNeighborDiscovery(p) {
		return false
	}
	kind, service, client := t.hold.Reply(p)
	switch kind {
	case handover.Refusal:
		r.reportReject(t, service)
	case handover.ToClient:
		_ = r.forward(p, client) // lost like any packet
	case handover.Routed: // a second one would be one too many
	default:
		return false
	}
	return true
}

// refused reports that a machine has refused the datagram that asked for a service.
func (r *Reader) reportReject(t *Target, service machine.Service) {
	for _, a := range t.addrs {
		if s := a.service(service.Port); a.ip == service.Addr && s != nil {
			r.report(&s.reject, Sighting{Kind: SawReject, Target: t, Address: a, Service: s})
		}
	}
}

// checks takes what our own host sends to a machine from a port of our probes: it
// checks whether a service is ready. Nothing of that knocks or is held. Under
// wake.local it comes here like all that programs of our host send to the machine.
func (r *Reader) forwardCheck(a *Address, p *lan.Packet) bool {
	if p.Src != r.responder.Self || p.Kind != lan.TCP || !lan.IsProbePort(p.FromPort) {
		return false
	}
	if a.target.hold.HoldsUnready() {
		_ = r.forward(p, a.mac) // TCP sends it again
	}
	return true
}
