package registration

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"slices"

	"nightporter/internal/machine"
)

// Trust says who may register what.
type Trust uint8

// The kinds of trust. The strictest is the zero value.
const (
	Self      Trust = iota // a machine may register only itself, and only addresses it answers for
	Allowlist              // certain MACs may be registered, from anywhere
	Open                   // anyone may register anything that is not forbidden to all
)

var trustNames = [...]string{"self", "allowlist", "open"}

// String returns the form that ParseTrust reads.
func (t Trust) String() string {
	if int(t) >= len(trustNames) {
		return fmt.Sprintf("trust(%d)", uint8(t))
	}
	return trustNames[t]
}

// ParseTrust reads "self", "allowlist" or "open".
func ParseTrust(s string) (Trust, error) {
	if i := slices.Index(trustNames[:], s); i >= 0 {
		return Trust(i), nil
	}
	return 0, fmt.Errorf("found %q: expected self, allowlist or open", s)
}

// Policy decides which registrations are allowed.
type Policy struct {
	Trust Trust
	Allow []machine.MAC // for Allowlist
	Token string        // what every client must show; empty: nothing
}

// Network is what the rules have to know of the interface at which a machine
// registers. It is asked about addresses without zones.
type Network interface {
	Own(ip netip.Addr) bool       // an address of this host, on any interface
	Gateway(ip netip.Addr) bool   // the next hop of a route
	OnLink(ip netip.Addr) bool    // inside one of the interface's prefixes
	CanAsk(ip netip.Addr) bool    // on link, or IPv6 where the interface has a link-local address to ask from
	Broadcast(ip netip.Addr) bool // a directed broadcast, or a network's own address
	OwnMAC(mac machine.MAC) bool  // the Ethernet address of an interface of this host

	// NeighborMAC looks ip up in the kernel's neighbour table.
	NeighborMAC(ip netip.Addr) (machine.MAC, bool, error)

	// WhoHas asks the LAN now, and returns every MAC that answers for ip by ARP
	// or NDP within a short time. It is called concurrently.
	WhoHas(ctx context.Context, ip netip.Addr) ([]machine.MAC, error)
}

// Check judges a registration of peer's, each address for itself. It is accepted
// if at least one address can be claimed now; a *Refusal says why it is not. Any
// other error means that the network could not be asked.
func (p Policy) Check(ctx context.Context, req Request, peer netip.Addr, n Network) (Verdict, error) {
	if err := p.checkToken(req.Token); err != nil {
		return Verdict{}, err
	}
	if n.OwnMAC(req.MAC) {
		return Verdict{}, Refuse(Refused, "mac: found %s, an interface of the porter's own host: expected the machine's", req.MAC)
	}
	if err := checkAddresses(req, n); err != nil {
		return Verdict{}, err
	}
	if n := machine.CountServices(req.Monitor) + machine.CountServices(req.Guests); n > machine.MaxServices {
		return Verdict{}, Refuse(Invalid, "monitor: found %d services with those of the guests that the configuration names: expected at most %d", n, machine.MaxServices)
	}
	switch p.Trust {
	case Self:
		if err := checkPeer(ctx, req, peer.Unmap().WithZone(""), n); err != nil {
			return Verdict{}, err
		}
	case Allowlist:
		if !slices.Contains(p.Allow, req.MAC) {
			return Verdict{}, Refuse(Refused, "mac: %s is not in registration.allow (trust: allowlist)", req.MAC)
		}
	case Open:
	default:
		return Verdict{}, fmt.Errorf("registration.trust: found %v: expected self, allowlist or open", p.Trust)
	}
	return p.judge(ctx, req, n)
}

// FromItself reports whether a registration that Check has allowed was sent by
// the machine that it is about. Under Self that was proven.
func (p Policy) FromItself(req Request, peer netip.Addr, n Network) (bool, error) {
	if p.Trust == Self {
		return true, nil
	}
	seen, known, err := macOf(peer.Unmap().WithZone(""), n)
	return known && seen == req.MAC, err
}

// macOf returns the MAC that a connection from peer comes from.
func macOf(peer netip.Addr, n Network) (machine.MAC, bool, error) {
	mac, known, err := n.NeighborMAC(peer)
	if err != nil {
		return machine.MAC{}, false, fmt.Errorf("look up %s in the neighbour table: %w", peer, err)
	}
	return mac, known, nil
}

// checkToken compares in constant time. The hashes are compared, so that not
// even the length of the token shows.
func (p Policy) checkToken(token string) error {
	if p.Token == "" {
		return nil
	}
	if token == "" {
		return Refuse(Refused, "token: missing: this porter asks for one")
	}
	want, got := sha256.Sum256([]byte(p.Token)), sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return Refuse(Refused, "token: not the one this porter asks for")
	}
	return nil
}

// checkPeer proves that the machine registers itself: the connection comes from
// its MAC.
func checkPeer(ctx context.Context, req Request, peer netip.Addr, n Network) error {
	const rule = "a machine may register only itself (trust: self)"
	if peer.IsLoopback() || n.Own(peer) {
		return Refuse(Refused, "this connection comes from the porter's own host, %s", rule)
	}
	seen, err := machinesAt(ctx, peer, n)
	if err != nil {
		return err
	}
	switch {
	case len(seen) == 0 && n.OnLink(peer):
		return Refuse(Refused, "the MAC address of %s is not known here, %s, %s", peer, rule, tryAgain)
	case len(seen) == 0:
		return Refuse(Refused, "this connection comes from %s, which is not in a network of the porter's interface, %s", peer, rule)
	}
	for _, mac := range seen {
		if mac != req.MAC {
			return Refuse(Refused, "this connection comes from %s, not from %s: %s", mac, req.MAC, rule)
		}
	}
	return nil
}

// machinesAt returns the MACs that a connection from peer may come from. The
// kernel knows who it speaks to in a network of its own. Another IPv6 address may
// be on the link all the same (RFC 4861 section 2.1, "on-link"): who answers for
// it there is where it is.
func machinesAt(ctx context.Context, peer netip.Addr, n Network) ([]machine.MAC, error) {
	if n.OnLink(peer) {
		mac, known, err := macOf(peer, n)
		if err != nil || !known {
			return nil, err
		}
		return []machine.MAC{mac}, nil
	}
	if !n.CanAsk(peer) {
		return nil, nil
	}
	macs, err := n.WhoHas(ctx, peer)
	if err != nil {
		return nil, fmt.Errorf("ask who has %s: %w", peer, err)
	}
	return macs, nil
}
