package claim

import (
	"net/netip"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// Holding is the state of one address for the responder.
type Holding struct {
	Owner  ether.MAC // the machine whose address it is
	Answer bool      // whether we answer for it now
}

// Verdict is the result of Handle for one frame.
type Verdict uint8

// The verdicts.
const (
	NotARequest Verdict = iota // neither requests an address nor states one
	NotOurs                    // about an address of no monitored machine
	FromOwner                  // from the machine itself: never answered, or its address test would fail
	FromUs                     // our own frame, reflected by an access point
	Quiet                      // monitored, but not answered for at present
	Conflict                   // another host states that it has the address
	Answered
	Failed // the answer could not be built or sent
)

var verdictNames = [...]string{"not a request", "not ours", "from owner", "from us", "quiet", "conflict", "answered", "failed"}

// String returns the verdict in words.
func (v Verdict) String() string {
	if int(v) >= len(verdictNames) {
		return "unknown"
	}
	return verdictNames[v]
}

// Responder answers ARP requests and neighbor solicitations on one interface. It takes no
// lock and has no state: the caller passes a Lookup with each frame.
type Responder struct {
	Self    ether.MAC
	Send    func(frame []byte) error
	Replied func(kind lan.Kind) // called for every answer sent
}

// Lookup returns the state of an address, or false for one that is not monitored.
type Lookup func(ip netip.Addr) (Holding, bool)

// Handle handles an ARP or NDP frame, and answers it if the porter answers for the address.
func (r *Responder) Handle(p *lan.Packet, holding Lookup) Verdict {
	switch p.Kind {
	case lan.ARPRequest, lan.ARPReply:
		return r.arp(p, holding)
	case lan.NeighborSolicitation:
		return r.request(p, p.Target, holding)
	case lan.NeighborAdvertisement:
		return r.statement(p, p.Target, holding)
	}
	return NotARequest
}

// arp handles first the sender fields of an ARP packet (RFC 5227 section 2.4: any ARP packet
// whose sender address is ours is a conflict), and then its request. The all-zero sender of
// a probe states nothing.
func (r *Responder) arp(p *lan.Packet, holding Lookup) Verdict {
	v := r.statement(p, p.From, holding)
	switch {
	case v == Conflict || v == FromUs:
		return v
	case p.Kind == lan.ARPRequest: // also from the owner of another address
		return r.request(p, p.To, holding)
	case v == FromOwner:
		return v
	}
	return NotARequest
}

// statement handles a frame that states "ip is at my MAC".
func (r *Responder) statement(p *lan.Packet, ip netip.Addr, holding Lookup) Verdict {
	h, ok := holding(ip)
	switch {
	case !ok:
		return NotOurs
	case p.Src == h.Owner || Stated(p) == h.Owner:
		return FromOwner
	case p.Src == r.Self || Stated(p) == r.Self:
		return FromUs
	}
	return Conflict
}

// request handles a frame that requests ip.
func (r *Responder) request(p *lan.Packet, ip netip.Addr, holding Lookup) Verdict {
	h, ok := holding(ip)
	switch {
	case !ok:
		return NotOurs
	case p.Src == h.Owner || p.SenderMAC == h.Owner: // the latter behind a repeater
		return FromOwner
	case p.Src == r.Self:
		return FromUs
	case !h.Answer:
		return Quiet
	}
	frame, err := lan.AnswerTo(p, r.Self, r.Self)
	if err != nil || r.Send(frame) != nil {
		return Failed
	}
	r.Replied(p.Kind)
	return Answered
}

// Stated returns the link-layer address that an ARP packet or an advertisement states. An
// advertisement without the option states the source of its frame (RFC 4861 section 4.4).
func Stated(p *lan.Packet) ether.MAC {
	if p.SenderMAC != (ether.MAC{}) {
		return p.SenderMAC
	}
	return p.Src
}
