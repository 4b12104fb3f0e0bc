package registration

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

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
	Broadcast(ip netip.Addr) bool // a directed broadcast, or a network's own address
	OwnMAC(mac machine.MAC) bool  // the Ethernet address of an interface of this host

	// NeighborMAC looks ip up in the kernel's neighbour table.
	NeighborMAC(ip netip.Addr) (machine.MAC, bool, error)

	// WhoHas asks the LAN now, and returns every MAC that answers for ip by ARP
	// or NDP within a short time. It is called concurrently.
	WhoHas(ctx context.Context, ip netip.Addr) ([]machine.MAC, error)
}

// Check returns nil if peer may register req. A *Refusal says what is not
// allowed; any other error means that the network could not be asked.
func (p Policy) Check(ctx context.Context, req Request, peer netip.Addr, n Network) error {
	if err := p.checkToken(req.Token); err != nil {
		return err
	}
	if n.OwnMAC(req.MAC) {
		return Refuse(Refused, "mac: found %s, an interface of the porter's own host: expected the machine's", req.MAC)
	}
	if err := CheckAddresses(req.Monitor, n); err != nil {
		return err
	}
	switch p.Trust {
	case Self:
		return checkSelf(ctx, req, peer.Unmap().WithZone(""), n)
	case Allowlist:
		if !slices.Contains(p.Allow, req.MAC) {
			return Refuse(Refused, "mac: %s is not in registration.allow (trust: allowlist)", req.MAC)
		}
		return nil
	case Open:
		return nil
	default:
		return fmt.Errorf("registration.trust: found %v: expected self, allowlist or open", p.Trust)
	}
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

func monitorIP(i int) string { return fmt.Sprintf("monitor[%d].ip", i) }

// CheckAddresses returns nil if addresses may be claimed at all, whatever the
// trust, or a *Refusal that names the first that may not.
func CheckAddresses(monitor []machine.Address, n Network) error {
	for i, a := range monitor {
		if what := forbidden(a.IP, n); what != "" {
			return Refuse(Refused, "%s: found %s, %s: expected an address of the machine", monitorIP(i), a.IP, what)
		}
	}
	return nil
}

// forbidden says why nobody may register ip, whatever the trust. To claim such
// an address would take the network down, or ourselves off it.
func forbidden(ip netip.Addr, n Network) string {
	switch {
	case !ip.IsValid() || ip.IsUnspecified():
		return "the unspecified address"
	case ip.IsLoopback():
		return "a loopback address"
	case ip.IsMulticast():
		return "a multicast address"
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "the broadcast address" // limited broadcast, RFC 919 section 7
	case n.Own(ip):
		return "an address of the porter's own host"
	case n.Gateway(ip):
		return "a gateway's address"
	case n.Broadcast(ip):
		return "a broadcast or network address"
	case !n.OnLink(ip):
		return "which is not in a network of the porter's interface"
	}
	return ""
}

// checkSelf proves that the machine registers itself: the connection comes from
// its MAC, and that MAC answers for each of its addresses at this moment.
func checkSelf(ctx context.Context, req Request, peer netip.Addr, n Network) error {
	const rule = "a machine may register only itself (trust: self)"
	if peer.IsLoopback() || n.Own(peer) {
		return Refuse(Refused, "this connection comes from the porter's own host, %s", rule)
	}
	if !n.OnLink(peer) {
		return Refuse(Refused, "this connection comes from %s, which is not in a network of the porter's interface, %s", peer, rule)
	}
	seen, known, err := macOf(peer, n)
	switch {
	case err != nil:
		return err
	case !known:
		return Refuse(Refused, "the MAC address of %s is not known here, %s, %s", peer, rule, tryAgain)
	case seen != req.MAC:
		return Refuse(Refused, "this connection comes from %s, not from %s: %s", seen, req.MAC, rule)
	}
	return checkAnswers(ctx, req, n)
}

// checkAnswers asks the LAN about all addresses at once, and reports the first
// in the order of the request that is not the machine's alone.
func checkAnswers(ctx context.Context, req Request, n Network) error {
	errs := make([]error, len(req.Monitor)) // each goroutine has its own element
	var asked sync.WaitGroup
	for i, a := range req.Monitor {
		asked.Go(func() { errs[i] = checkAnswer(ctx, monitorIP(i), a.IP, req.MAC, n) })
	}
	asked.Wait()
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return errs[i]
}

func checkAnswer(ctx context.Context, path string, ip netip.Addr, mac machine.MAC, n Network) error {
	macs, err := n.WhoHas(ctx, ip)
	if err != nil {
		return fmt.Errorf("%s: ask who has %s: %w", path, ip, err)
	}
	if len(macs) == 0 {
		return Refuse(Refused, "%s: nobody answers for %s: expected %s (trust: self)", path, ip, mac)
	}
	others := slices.DeleteFunc(slices.Clone(macs), func(m machine.MAC) bool { return m == mac })
	if len(others) == 0 {
		return nil
	}
	names := make([]string, len(others))
	for i, m := range others {
		names[i] = m.String()
	}
	// A Linux host with two cards on one LAN answers with both for each of its
	// addresses, unless it is told not to.
	return Refuse(Refused, "%s: %s answers for %s: expected %s alone (trust: self); if that is a second card of the machine, set its sysctl net.ipv4.conf.all.arp_ignore=1",
		path, strings.Join(names, " and "), ip, mac)
}
