package fastpath

import (
	"net/netip"
	"sync/atomic"

	"nightporter/internal/lan"
)

// Surroundings are what the readers have to know of our own host and of the network of
// their interface.
type Surroundings struct {
	Own     map[netip.Addr]bool // our host's addresses, on any interface
	Network lan.Network
}

// refusals counts the packets that were refused, by reason.
type refusals [lan.Refusals]atomic.Uint64

// SetSurroundings has the readers know our own host and its network as they are now.
func (r *Reader) SetSurroundings(s Surroundings) { r.surroundings.Store(&s) }

// Refused returns how many packets were refused because no host would take them, by
// reason. Every reason is there, also at 0.
func (r *Reader) Refused() map[lan.Refusal]uint64 {
	counts := make(map[lan.Refusal]uint64, lan.Refusals-1)
	for reason := lan.Taken + 1; reason < lan.Refusals; reason++ {
		counts[reason] = r.refusals[reason].Load()
	}
	return counts
}

// refuses reports whether p, which came in for an address of a machine, is one that its
// kernel would drop. Such a packet does not wake, and is neither held nor sent on.
func (r *Reader) refuses(v *View, a *Address, p *lan.Packet) bool {
	reason := p.Refusal()
	if reason == lan.Taken {
		reason = r.refusal(v, a, p)
	}
	if reason == lan.Taken {
		return false
	}
	r.refusals[reason].Add(1)
	return true
}

// refusal judges the source of p by what is known of the network. What our own host
// sends does not come in: a packet from one of its addresses is not its own, and would
// go round wake.local.
func (r *Reader) refusal(v *View, a *Address, p *lan.Packet) lan.Refusal {
	own := v.addrs[p.From]
	known := r.surroundings.Load()
	switch {
	case own != nil && own.target == a.target && own.mac == a.mac && !own.conceded.Load():
		return lan.OwnSource
	case known.Own[p.From] || p.Src == r.responder.Self:
		return lan.OwnSource
	case known.Network.IsBroadcast(p.From):
		return lan.BadSource
	}
	return lan.Taken
}

// sought returns the address of a machine for which p came to our MAC, or nil.
func (r *Reader) destination(v *View, p *lan.Packet) *Address {
	a := v.addrs[p.To]
	if a == nil || a.mac == p.Src || p.Dst != r.responder.Self || !p.Src.Unicast() || a.conceded.Load() {
		return nil
	}
	return a
}
