package fastpath

import (
	"net/netip"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// heard takes a frame that a watched machine sent.
func (r *Reader) heard(v *View, t *Target, p *lan.Packet) {
	kind, ip := spokenFor(p)
	a := v.addrs[ip]
	solicited := kind == SawAnswer && r.answersUs(p)
	if solicited && t.cardAnswers.Load() {
		// It says nothing about the machine, and we go on answering.
		if a != nil && a.target == t {
			r.report(&a.spoken[kind], Sighting{Kind: kind, Target: t, Address: a})
		}
		return
	}
	if a == nil || a.target != t {
		r.report(&t.frame, Sighting{Kind: SawFrame, Target: t})
		return
	}
	// Not one more answer, whatever the loop is busy with: a machine that tests
	// its address would take the answer for a duplicate (RFC 5227 section 2.1.1,
	// RFC 4862 section 5.4.4).
	for _, mine := range t.addrs {
		mine.answer.Store(false)
	}
	if kind == SawAnswer && !solicited {
		kind = SawUse // it answered another host, or announced itself
	}
	r.report(&a.spoken[kind], Sighting{Kind: kind, Target: t, Address: a})
	switch {
	case p.Kind == lan.TCP || p.Kind == lan.PortUnreachable:
		r.replied(a, p)
	case p.Network == 0 || p.Target.IsValid(): // ARP and neighbour discovery
		r.diverted(t, p)
	}
}

// spokenFor returns the address for which the sender of p speaks, and how.
func spokenFor(p *lan.Packet) (Kind, netip.Addr) {
	switch p.Kind {
	case lan.ARPRequest:
		if p.From.IsUnspecified() { // a probe, RFC 5227 section 2.1.1
			return SawTest, p.To
		}
	case lan.ARPReply:
		return SawAnswer, p.From
	case lan.NeighborSolicitation:
		if p.From.IsUnspecified() { // RFC 4862 section 5.4.2
			return SawTest, p.Target
		}
	case lan.NeighborAdvertisement:
		return SawAnswer, p.Target
	case lan.TCP, lan.UDP, lan.EchoRequest, lan.PortUnreachable, lan.IP:
		return SawPacket, p.From
	}
	return SawUse, p.From
}

// answersUs reports whether p is nothing but the answer to a question of ours. No
// host announces anything to a single neighbour by an ARP reply, and an
// advertisement says itself that it was solicited (RFC 4861 section 4.4).
func (r *Reader) answersUs(p *lan.Packet) bool {
	return p.Dst == r.responder.Self && (p.Kind == lan.ARPReply || p.Kind == lan.NeighborAdvertisement && p.Solicited)
}

// diverted takes ARP or neighbour discovery from which clients whose packets
// are held may have learnt the machine's own MAC, while its services are not ready.
func (r *Reader) diverted(t *Target, p *lan.Packet) {
	if p.Dst != r.responder.Self && t.hold.Passing() {
		r.report(&t.diversion, Sighting{Kind: SawDiversion, Target: t})
	}
}

// replied takes a machine's reply to a probe of one of its services.
func (r *Reader) replied(a *Address, p *lan.Packet) {
	switch {
	case p.Dst != r.responder.Self:
	case p.Kind == lan.PortUnreachable && lan.IsProbePort(p.FromPort):
		if s := a.service(machine.Port{Protocol: machine.UDP, Number: p.ToPort}); s != nil && p.Target == a.ip {
			r.report(&s.reject, Sighting{Kind: SawReject, Target: a.target, Address: a, Service: s})
		}
	case p.Kind == lan.TCP && p.SYNACK() && lan.IsProbePort(p.ToPort) && p.Ack == r.sequence+1:
		if s := a.service(machine.Port{Protocol: machine.TCP, Number: p.FromPort}); s != nil {
			r.report(&s.accept, Sighting{Kind: SawAccept, Target: a.target, Address: a, Service: s})
		}
		// Our kernel knows nothing of that connection and would reset it too, as
		// far as its firewall lets it.
		if reset, err := lan.ResetFor(p, r.responder.Self); err == nil {
			_ = r.responder.Send(reset) // the machine gives up by itself as well
		}
	}
}
