package registration

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
	"nightporter/internal/wait"
)

// Reason is why an address cannot be claimed at present. Users read it.
type Reason string

// The reasons.
const (
	NoNetwork   Reason = "it is not in a network of the porter's interface"
	NoAnswer    Reason = "no host answers for it"
	GuestSilent Reason = "its guest does not answer for it"
	NotFound    Reason = "it is not in a network of the porter's interface, and no host answers for it" // though it was resolved on the link
)

// Place is the decision about one address of a registration.
type Place struct {
	IP       netip.Addr
	Waiting  Reason // empty: it can be claimed now
	Unproved bool   // not to be claimed before the machine has answered for it (trust: self)
}

// Verdict is the decision about a registration that is accepted.
type Verdict struct {
	Monitor []machine.Address // the addresses of the machine, then those of its guests with their MACs
	Places  []Place           // one for each of Monitor
	Unknown []netip.Addr      // of guests without a known MAC that did not answer: left out
}

// Waiting returns the places that cannot be claimed yet.
func (v Verdict) Waiting() []Place {
	var waiting []Place
	for _, p := range v.Places {
		if p.Waiting != "" {
			waiting = append(waiting, p)
		}
	}
	return waiting
}

// decideAll decides about each address, in parallel. The error is that of the first address, in
// the order of the request, that refuses the registration.
func (p Policy) decideAll(ctx context.Context, req Request, n Network) (Verdict, error) {
	v := Verdict{Monitor: slices.Concat(req.Monitor, req.Guests)}
	v.Places = make([]Place, len(v.Monitor)) // each goroutine has its own element
	errs := make([]error, len(v.Monitor))
	var resolved sync.WaitGroup
	for i, a := range v.Monitor {
		resolved.Go(func() {
			if path := req.path(i); i >= len(req.Monitor) || a.Guest() {
				v.Monitor[i], v.Places[i], errs[i] = p.guest(ctx, path, a, req, n)
			} else {
				v.Places[i], errs[i] = p.place(ctx, path, a.IP, req.MAC, n)
			}
		})
	}
	resolved.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return Verdict{}, errs[i]
	}
	// At least one address of the machine itself must be claimable.
	if own := v.Places[:len(req.Monitor)]; len(own) > 0 && !slices.ContainsFunc(own, func(p Place) bool { return p.Waiting == "" }) {
		return Verdict{}, nothingToClaim(own, req.MAC)
	}
	v.leaveOut(len(req.Monitor))
	return v, nil
}

// claimable reports whether ip is an address of the machine that can be claimed.
func (v Verdict) claimable(ip netip.Addr) bool {
	i := slices.IndexFunc(v.Monitor, func(a machine.Address) bool { return a.IP == ip })
	return i >= 0 && !v.Monitor[i].Guest() && v.Places[i].Waiting == ""
}

// leaveOut removes the guests, which are the entries from first on, whose MAC is not known.
func (v *Verdict) leaveOut(first int) {
	for i := len(v.Monitor) - 1; i >= first; i-- {
		if a := v.Monitor[i]; !a.Guest() && v.Places[i].Waiting != "" {
			v.Unknown = append(v.Unknown, a.IP)
			v.Monitor, v.Places = slices.Delete(v.Monitor, i, i+1), slices.Delete(v.Places, i, i+1)
		}
	}
}

// place decides whether ip can be claimed for mac. Under trust: self the machine must answer
// for ip. An answer also proves that an address outside our prefixes is on the link.
func (p Policy) place(ctx context.Context, path string, ip netip.Addr, mac ether.MAC, n Network) (Place, error) {
	here, self := n.OnLink(ip), p.Trust == Self
	switch {
	case here && !self:
		return Place{IP: ip}, nil
	case !n.CanResolve(ip):
		return Place{IP: ip, Waiting: NoNetwork, Unproved: self}, nil
	}
	macs, err := resolve(ctx, ip, n)
	if err != nil {
		return Place{}, fmt.Errorf("%s: resolve %s: %w", path, ip, err)
	}
	others := slices.DeleteFunc(slices.Clone(macs), func(m ether.MAC) bool { return m == mac })
	switch {
	case len(others) > 0:
		return Place{}, p.disputed(path, ip, mac, others)
	case len(macs) > 0:
		return Place{IP: ip}, nil
	case here:
		return Place{IP: ip, Waiting: NoAnswer, Unproved: self}, nil
	default:
		return Place{IP: ip, Waiting: NotFound, Unproved: self}, nil
	}
}

// How long an address without an answer is resolved again. A host does not answer for an
// address under duplicate address detection, for a second or two (RFC 4862 section 5.4, RFC
// 5227 section 2.1). The clients wait 10 s, which must be enough for a second attempt.
const (
	resolveTime  = 2500 * time.Millisecond // no attempt begins later
	resolvePause = 300 * time.Millisecond  // between the beginnings of two, at least
)

// resolve returns the MACs that answer for ip; none is not an error.
func resolve(ctx context.Context, ip netip.Addr, n Network) ([]ether.MAC, error) {
	end := time.Now().Add(resolveTime)
	for {
		next := time.Now().Add(resolvePause)
		macs, err := n.Resolve(ctx, ip)
		if err != nil || len(macs) > 0 {
			return macs, err
		}
		if !wait.Until(ctx, next) {
			return nil, ctx.Err()
		}
		if time.Now().After(end) {
			return nil, nil
		}
	}
}

// disputed refuses an address that other MACs answer for.
func (p Policy) disputed(path string, ip netip.Addr, mac ether.MAC, others []ether.MAC) error {
	names := make([]string, len(others))
	for i, m := range others {
		names[i] = m.String()
	}
	// A Linux host with two cards on one LAN answers with both for each of its addresses, unless
	// arp_ignore is set.
	return Refuse(Refused, "%s: %s answers for %s: expected %s alone (trust: %v); if that is a second card of the machine, set its sysctl net.ipv4.conf.all.arp_ignore=1",
		path, strings.Join(names, " and "), ip, mac, p.Trust)
}

// nothingToClaim refuses a registration of which no address can be claimed. The client tries
// again if one of them may answer soon.
func nothingToClaim(places []Place, mac ether.MAC) error {
	for i, p := range places {
		switch p.Waiting {
		case NoAnswer:
			return Refuse(Refused, "%s: no host answers for %s: expected %s (trust: self), %s", monitorIP(i), p.IP, mac, tryAgain)
		case NotFound:
			return Refuse(Refused, "%s: no host answers for %s, which is not in a network of the porter's interface: expected %s, %s",
				monitorIP(i), p.IP, mac, tryAgain)
		}
	}
	return Refuse(Refused, "%s: found %s, which is not in a network of the porter's interface: expected an address in one",
		monitorIP(0), places[0].IP)
}
