package registration

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"sync"

	"nightporter/internal/ether"
)

const selfRule = "a machine may register only itself (trust: self)"

// judgeItself is judge for a machine that has to prove that it registers itself: each
// sign of where the peer is leads to the machine's MAC. What the kernel has learnt may
// be one frame of another host, so the peer is asked for as well, and the kernel once
// more at the end.
func (p Policy) judgeItself(ctx context.Context, req Request, peer Peer, n Network) (Verdict, error) {
	if err := comesFrom(req.MAC, peer, n); err != nil {
		return Verdict{}, err
	}
	ip := peer.ip()
	var asked sync.WaitGroup
	var unproved error
	if !req.Has(ip) { // else it is asked for as an address of the machine
		asked.Go(func() { unproved = answersAt(ctx, req.MAC, ip, n) })
	}
	v, err := p.judge(ctx, req, n)
	asked.Wait()
	if err == nil && req.Has(ip) && !v.claimable(ip) {
		unproved = answersAt(ctx, req.MAC, ip, n)
	}
	if unproved == nil && err == nil {
		err = knownAt(req.MAC, ip, n)
	}
	if err := cmp.Or(unproved, err); err != nil {
		return Verdict{}, err
	}
	return v, nil
}

// comesFrom refuses a connection that does not come from a MAC, as far as that is
// known without a question.
func comesFrom(mac ether.MAC, peer Peer, n Network) error {
	ip := peer.ip()
	switch {
	case ip.IsLoopback() || n.Own(ip):
		return Refuse(Refused, "this connection comes from the porter's own host, %s", selfRule)
	case !n.CanResolve(ip):
		return notOurs(ip)
	case peer.Unseen:
		return Refuse(Refused, "the frame that opened this connection is not known, %s, %s", selfRule, tryAgain)
	case peer.SYN != ether.MAC{} && peer.SYN != mac:
		return from(peer.SYN, mac)
	}
	return knownAt(mac, ip, n)
}

// knownAt refuses a peer that is at another MAC as far as the kernel knows. It knows
// that of those in a network of its own; another IPv6 address may be on the link all
// the same (RFC 4861 section 2.1, "on-link").
func knownAt(mac ether.MAC, ip netip.Addr, n Network) error {
	if !n.OnLink(ip) {
		return nil
	}
	seen, known, err := n.NeighborMAC(ip)
	switch {
	case err != nil:
		return fmt.Errorf("look up %s in the neighbour table: %w", ip, err)
	case !known:
		return Refuse(Refused, "the MAC address of %s is not known here, %s, %s", ip, selfRule, tryAgain)
	case seen != mac:
		return from(seen, mac)
	}
	return nil
}

// answersAt refuses a peer that another MAC answers for on the link, or none.
func answersAt(ctx context.Context, mac ether.MAC, ip netip.Addr, n Network) error {
	macs, err := n.Resolve(ctx, ip)
	if err != nil {
		return fmt.Errorf("ask who has %s: %w", ip, err)
	}
	for _, seen := range macs {
		if seen != mac {
			return from(seen, mac)
		}
	}
	switch {
	case len(macs) > 0:
		return nil
	case !n.OnLink(ip):
		return notOurs(ip)
	default:
		return Refuse(Refused, "nobody answers for %s, where this connection comes from, %s, %s", ip, selfRule, tryAgain)
	}
}

func notOurs(ip netip.Addr) error {
	return Refuse(Refused, "this connection comes from %s, which is not in a network of the porter's interface, %s", ip, selfRule)
}

func from(seen, mac ether.MAC) error {
	return Refuse(Refused, "this connection comes from %s, not from %s: %s", seen, mac, selfRule)
}
