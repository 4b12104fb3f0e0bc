package registration

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// Trust says who may register what.
type Trust uint8

// The kinds of trust. The strictest is the zero value.
const (
	Self      Trust = iota // a machine may register only itself, and only addresses it answers for
	Allowlist              // certain MACs may be registered, from anywhere
	Open                   // any machine may be registered, from anywhere
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
	Allow []ether.MAC // for Allowlist
	Token string      // what every client must send; empty: nothing
}

// Addresses classifies the addresses of a network that no machine has.
type Addresses interface {
	Own(ip netip.Addr) bool       // an address of this host, on any interface
	Gateway(ip netip.Addr) bool   // the next hop of a route, or another address of its host
	Broadcast(ip netip.Addr) bool // a directed broadcast, or a network's own address
	Anycast(ip netip.Addr) bool   // of the routers or the services of an IPv6 network (RFC 4291 section 2.6.1, RFC 2526)
}

// Network is the interface at which a machine registers, as the rules see it. Addresses have no
// zones.
type Network interface {
	Addresses
	OnLink(ip netip.Addr) bool     // inside one of the interface's prefixes
	CanResolve(ip netip.Addr) bool // on link, or IPv6 if the interface has a link-local address to send from
	OwnMAC(mac ether.MAC) bool     // the Ethernet address of an interface of this host
	GatewayMAC(mac ether.MAC) bool // that of a gateway

	// NeighborMAC looks ip up in the kernel's neighbor table.
	NeighborMAC(ip netip.Addr) (ether.MAC, bool, error)

	// Resolve sends ARP or NDP requests for ip, and returns every MAC that answers within a
	// short time in frames with that source. It is called concurrently.
	Resolve(ctx context.Context, ip netip.Addr) ([]ether.MAC, error)
}

// Check decides about a registration of peer's, about each address by itself. It is accepted if
// at least one address can be claimed now. The error is a *Refusal, or an error of the network.
func (p Policy) Check(ctx context.Context, req Request, peer Peer, n Network) (Verdict, error) {
	if err := p.checkToken(req); err != nil {
		return Verdict{}, err
	}
	if n.OwnMAC(req.MAC) {
		return Verdict{}, Refuse(Refused, "mac: found %s, an interface of the porter's own host: register on the machine that sleeps, not on the porter", req.MAC)
	}
	if what := foreignMAC(req.MAC, n); what != "" {
		return Verdict{}, Refuse(Refused, "mac: found %s, %s: expected the machine's", req.MAC, what)
	}
	if err := checkAddresses(req, n); err != nil {
		return Verdict{}, err
	}
	if n := machine.CountServices(req.Monitor) + machine.CountServices(req.Guests); n > machine.MaxServices {
		return Verdict{}, Refuse(Invalid, "monitor: found %d services with those of the guests that the configuration names: expected at most %d", n, machine.MaxServices)
	}
	switch p.Trust {
	case Self:
		return p.decideSelf(ctx, req, peer, n)
	case Allowlist:
		if !slices.Contains(p.Allow, req.MAC) {
			return Verdict{}, Refuse(Refused, "mac: %s is not in registration.allow (trust: allowlist)", req.MAC)
		}
	case Open:
	default:
		return Verdict{}, fmt.Errorf("registration.trust: found %v: expected self, allowlist or open", p.Trust)
	}
	return p.decideAll(ctx, req, n)
}

// FromItself reports whether a registration that Check has accepted was sent by the machine
// itself. Under Self, Check has proved that.
func (p Policy) FromItself(ctx context.Context, req Request, peer Peer, n Network) (bool, error) {
	if p.Trust == Self {
		return true, nil
	}
	err := comesFrom(req.MAC, peer, n)
	if err == nil {
		err = answersAt(ctx, req.MAC, peer.ip(), n)
	}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return false, nil
	}
	return err == nil, err
}

// checkToken requires the token of the machine, or that of the porter if the machine has none.
func (p Policy) checkToken(req Request) error {
	wanted, whose := machine.SecretOf(p.Token), "this porter requires"
	if req.RequiredSecret != (machine.Secret{}) {
		wanted, whose = req.RequiredSecret, fmt.Sprintf("%s registered with or has in the configuration", req.MAC)
	}
	switch {
	case wanted == machine.Secret{}:
		return nil
	case req.Token == "":
		return Refuse(Refused, "token: missing: expected the one that %s", whose)
	case !wanted.Is(req.Token):
		return Refuse(Refused, "token: not the one that %s", whose)
	}
	return nil
}

// Learn returns the secret of a machine after an accepted registration: the one that it has, or
// that of the token that it sent without being required to.
func (p Policy) Learn(req Request, itself bool) machine.Secret {
	if req.RequiredSecret == (machine.Secret{}) && p.Token == "" && itself {
		return machine.SecretOf(req.Token)
	}
	return req.Secret
}
