package fastpath

import (
	"net/netip"
	"sync/atomic"

	"nightporter/internal/lan"
)

// Surroundings are our own host's addresses and the network of the interface.
type Surroundings struct {
	Own     map[netip.Addr]bool // our host's addresses, on any interface
	Network lan.Network
}

// refusals counts refused packets by reason.
type refusals [lan.Refusals]atomic.Uint64

// SetSurroundings sets our own host's addresses and the network for later frames.
func (r *Reader) SetSurroundings(s Surroundings) { r.surroundings.Store(&s) }

// Refused returns how many packets were refused because no host would accept them, by
// reason. It has every reason, also those with 0.
func (r *Reader) Refused() map[lan.Refusal]uint64 {
	counts := make(map[lan.Refusal]uint64, lan.Refusals-1)
	for reason := lan.Taken + 1; reason < lan.Refusals; reason++ {
		counts[reason] = r.refusals[reason].Load()
	}
	return counts
}

// refuses reports whether the machine's kernel would drop p. Such a packet does not wake, and
// is neither held nor forwarded.
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

// refusal judges the source of p. A received packet with an address of our own host was sent
// by another host, and would bypass wake.local.
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

// destination returns the address of a machine for which p came to our MAC, or nil.
func (r *Reader) destination(v *View, p *lan.Packet) *Address {
	a := v.addrs[p.To]
	if a == nil || a.mac == p.Src || p.Dst != r.responder.Self || !p.Src.Unicast() || a.conceded.Load() {
		return nil
	}
	return a
}
