package claim

import (
	"net/netip"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// Holding is what the responder has to know about one address.
type Holding struct {
	Owner  ether.MAC // the machine whose address it is
	Answer bool      // whether we answer for it now
}

// Verdict is what became of one frame.
type Verdict uint8

// The verdicts.
const (
	NotAQuestion Verdict = iota // neither asks for an address nor claims one
	NotOurs                     // about an address we do not watch
	FromOwner                   // from the machine itself: never answered (fact 9)
	FromUs                      // our own frame, reflected by an access point
	Quiet                       // watched, but not answered for at present
	Conflict                    // somebody else says that the address is theirs
	Answered
	Failed // the answer could not be built or sent
)

var verdictNames = [...]string{"not a question", "not ours", "from owner", "from us", "quiet", "conflict", "answered", "failed"}

// String returns the verdict in words.
func (v Verdict) String() string {
	if int(v) >= len(verdictNames) {
		return "unknown"
	}
	return verdictNames[v]
}

// Responder answers ARP requests and neighbour solicitations on one interface.
// It takes no lock and keeps no state: what is held comes with each frame.
type Responder struct {
	Self    ether.MAC
	Send    func(frame []byte) error
	Replied func(kind lan.Kind) // called for every answer sent
}

// Lookup tells about an address, and false for one that is not watched.
type Lookup func(ip netip.Addr) (Holding, bool)

// Handle judges an ARP or ND frame, and answers it where that is due.
func (r *Responder) Handle(p *lan.Packet, holding Lookup) Verdict {
	switch p.Kind {
	case lan.ARPRequest, lan.ARPReply:
		return r.arp(p, holding)
	case lan.NeighborSolicitation:
		return r.question(p, p.Target, holding)
	case lan.NeighborAdvertisement:
		return r.statement(p, p.Target, holding)
	}
	return NotAQuestion
}

// arp takes an ARP packet first for what its sender says of itself (RFC 5227
// section 2.4: any ARP packet whose sender address is ours is a conflict), and
// then for the question it asks. The all-zero sender of a probe says nothing.
func (r *Responder) arp(p *lan.Packet, holding Lookup) Verdict {
	v := r.statement(p, p.From, holding)
	switch {
	case v == Conflict || v == FromUs:
		return v
	case p.Kind == lan.ARPRequest: // also from the owner of another address
		return r.question(p, p.To, holding)
	case v == FromOwner:
		return v
	}
	return NotAQuestion
}

// statement judges a frame that says "ip is at my address".
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

// question judges a frame that asks who has ip.
func (r *Responder) question(p *lan.Packet, ip netip.Addr, holding Lookup) Verdict {
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

// Stated returns the link-layer address that an ARP packet or an advertisement
// names. An advertisement may leave the option out; then it is the one of the
// frame (RFC 4861 section 4.4).
func Stated(p *lan.Packet) ether.MAC {
	if p.SenderMAC != (ether.MAC{}) {
		return p.SenderMAC
	}
	return p.Src
}
