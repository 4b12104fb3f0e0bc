package fastpath

import (
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// relay handles an IP packet that a machine sent to our MAC for a diverted client, and
// reports whether p is one. A "port unreachable" to a probe is not forwarded, all other
// packets are.
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
	case handover.Routed: // our kernel forwards it
	default:
		return false
	}
	return true
}

// reportReject reports that a machine has refused the datagram that probed a service.
func (r *Reader) reportReject(t *Target, service machine.Service) {
	for _, a := range t.addrs {
		if s := a.service(service.Port); a.ip == service.Addr && s != nil {
			r.report(&s.reject, Sighting{Kind: SawReject, Target: t, Address: a, Service: s})
		}
	}
}

// forwardCheck forwards a packet of our own readiness check, known by its source port, and
// reports whether p is one. It does not knock and is not held. Under wake.local it comes
// here like all packets of our host to the machine.
func (r *Reader) forwardCheck(a *Address, p *lan.Packet) bool {
	if p.Src != r.responder.Self || p.Kind != lan.TCP || !lan.IsProbePort(p.FromPort) {
		return false
	}
	if a.target.hold.HoldsUnready() {
		_ = r.forward(p, a.mac) // TCP retransmits it
	}
	return true
}
