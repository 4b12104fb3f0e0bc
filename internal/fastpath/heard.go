package fastpath

import (
	"net/netip"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// handleFrame handles a frame of a monitored machine or of a guest of it.
func (r *Reader) handleFrame(v *View, t *Target, p *lan.Packet) {
	if t.isCardOnly(p.Src) {
		r.handleCardFrame(v, t, p)
		return
	}
	kind, ip := senderAddress(p)
	a := v.addrs[ip]
	own := a != nil && a.target == t && a.mac == p.Src
	solicited := kind == SawAnswer && r.answersUs(p)
	elsewhere := p.Src == t.MAC && (a == nil || a.target != t) // a guest's address says nothing about the machine
	switch {
	case !own && solicited && elsewhere:
		r.report(&t.otherAnswer, Sighting{Kind: SawOtherAnswer, Target: t, Other: ip})
		return
	case !own:
		if kind == SawTest || !isNeighborDiscovery(p) || !elsewhere {
			ip = netip.Addr{} // not used yet, or that of another host whose packet the machine forwards
		}
		r.report(&t.frame, Sighting{Kind: SawFrame, Target: t, Other: ip})
		return
	case solicited && a.cardAnswers(), kind == SawEcho && r.repliesTo(p):
		// It proves little or nothing about the machine, so we continue to answer.
		r.report(&a.reported[kind], Sighting{Kind: kind, Target: t, Address: a})
		return
	}
	// Stop answering at once, without the loop: a machine that tests its address would
	// take an answer for a duplicate (RFC 5227 section 2.1.1, RFC 4862 section 5.4.4).
	a.answering.Store(false)
	if kind == SawAnswer && !solicited || kind == SawEcho {
		kind = SawUse // it answered another host, or announced itself
	}
	if p.Kind == lan.TCP && p.Dst == r.responder.Self && r.handleProbeReply(a, p) {
		return
	}
	r.report(&a.reported[kind], Sighting{Kind: kind, Target: t, Address: a})
	if isNeighborDiscovery(p) {
		r.reportDiversion(a, p)
	}
}

// senderAddress returns the address that p names as the sender's, and the kind of sighting.
func senderAddress(p *lan.Packet) (Kind, netip.Addr) {
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
	case lan.EchoReply:
		return SawEcho, p.From
	case lan.TCP, lan.UDP:
		return SawPacket, p.From
	}
	return SawUse, p.From
}

// isNeighborDiscovery reports whether p is ARP or neighbor discovery.
func isNeighborDiscovery(p *lan.Packet) bool {
	switch p.Kind {
	case lan.ARPRequest, lan.ARPReply, lan.NeighborSolicitation, lan.NeighborAdvertisement:
		return true
	}
	return false
}

// answersUs reports whether p only answers a request of ours. No host announces anything to
// a single neighbor by an ARP reply, and an advertisement has a flag that it was solicited
// (RFC 4861 section 4.4).
func (r *Reader) answersUs(p *lan.Packet) bool {
	return p.Dst == r.responder.Self && (p.Kind == lan.ARPReply || p.Kind == lan.NeighborAdvertisement && p.Solicited)
}

// reportDiversion reports ARP or neighbor discovery from which clients may have learnt the
// machine's own MAC while its services are not ready.
func (r *Reader) reportDiversion(a *Address, p *lan.Packet) {
	if p.Dst != r.responder.Self && a.target.hold.HoldsUnready() {
		r.report(&a.diverted, Sighting{Kind: SawDiversion, Target: a.target, Address: a})
	}
}

// repliesTo reports whether an echo reply answers a request of ours.
func (r *Reader) repliesTo(p *lan.Packet) bool {
	return p.Dst == r.responder.Self && lan.IsProbePort(p.EchoID)
}

// handleProbeReply handles a machine's reply to our probe of a service, and reports whether
// p is one.
func (r *Reader) handleProbeReply(a *Address, p *lan.Packet) bool {
	if !lan.IsProbePort(p.ToPort) || p.Ack != r.sequence+1 {
		return false
	}
	if p.SYNACK() {
		// Our kernel has no such connection and would reset it too, unless its
		// firewall prevents that.
		if reset, err := lan.ResetFor(p, r.responder.Self); err == nil {
			_ = r.responder.Send(reset) // the machine's connection also times out
		}
	}
	s := a.service(machine.Port{Protocol: machine.TCP, Number: p.FromPort})
	switch {
	case s == nil: // the machine has registered anew since
		return false
	case p.RST():
		r.report(&s.reset, Sighting{Kind: SawReset, Target: a.target, Address: a, Service: s})
	case p.SYNACK():
		r.report(&s.accept, Sighting{Kind: SawAccept, Target: a.target, Address: a, Service: s})
	default:
		return false
	}
	return true
}

// hasMAC reports whether a MAC is that of the address's owner: its own, or for the machine
// itself also the built-in MAC of its network card, which its boot firmware uses.
func (a *Address) hasMAC(mac ether.MAC) bool {
	return mac == a.mac || a.mac == a.target.MAC && mac == a.target.cardMAC
}

// isCardOnly reports whether a MAC is only that of the machine's network card.
func (t *Target) isCardOnly(mac ether.MAC) bool { return mac == t.cardMAC && mac != t.MAC }

// handleCardFrame handles a frame from the built-in MAC of a machine's network card. It is
// ignored unless it names an address of the machine. It proves nothing: the card may be
// that of a host that is up, such as a hypervisor.
func (r *Reader) handleCardFrame(v *View, t *Target, p *lan.Packet) {
	kind, ip := senderAddress(p)
	a := v.addrs[ip]
	if a == nil || a.target != t || a.mac != t.MAC {
		return
	}
	a.answering.Store(false) // as for the machine itself, see handleFrame
	if kind != SawTest {
		kind = SawUse
	}
	r.report(&a.reported[kind], Sighting{Kind: kind, Target: t, Address: a})
}
