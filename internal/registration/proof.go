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

// decideSelf is decideAll for a machine that must prove that it registers itself: everything
// known of the peer must lead to the machine's MAC. An entry of the neighbor table may come
// from one frame of another host, so the peer is resolved as well, and the table is read again
// at the end.
func (p Policy) decideSelf(ctx context.Context, req Request, peer Peer, n Network) (Verdict, error) {
	if err := comesFrom(req.MAC, peer, n); err != nil {
		return Verdict{}, err
	}
	ip := peer.ip()
	var resolved sync.WaitGroup
	var unproved error
	if !req.Has(ip) { // else decideAll resolves it as an address of the machine
		resolved.Go(func() { unproved = answersAt(ctx, req.MAC, ip, n) })
	}
	v, err := p.decideAll(ctx, req, n)
	resolved.Wait()
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

// comesFrom refuses a connection that does not come from a MAC. It sends no packet.
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

// knownAt refuses a peer that has another MAC in the kernel's neighbor table. The table has
// hosts of the porter's own networks; another IPv6 address may still be on the link (RFC 4861
// section 2.1, "on-link").
func knownAt(mac ether.MAC, ip netip.Addr, n Network) error {
	if !n.OnLink(ip) {
		return nil
	}
	seen, known, err := n.NeighborMAC(ip)
	switch {
	case err != nil:
		return fmt.Errorf("look up %s in the neighbor table: %w", ip, err)
	case !known:
		return Refuse(Refused, "the MAC address of %s is not known here, %s, %s", ip, selfRule, tryAgain)
	case seen != mac:
		return from(seen, mac)
	}
	return nil
}

// answersAt refuses a peer if another MAC answers for it on the link, or none.
func answersAt(ctx context.Context, mac ether.MAC, ip netip.Addr, n Network) error {
	macs, err := n.Resolve(ctx, ip)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", ip, err)
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
		return Refuse(Refused, "no host answers for %s, where this connection comes from, %s, %s", ip, selfRule, tryAgain)
	}
}

func notOurs(ip netip.Addr) error {
	return Refuse(Refused, "this connection comes from %s, which is not in a network of the porter's interface, %s", ip, selfRule)
}

func from(seen, mac ether.MAC) error {
	return Refuse(Refused, "this connection comes from %s, not from %s: %s", seen, mac, selfRule)
}
