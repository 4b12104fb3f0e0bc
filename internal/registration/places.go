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

// Reason is why an address cannot be claimed at present, in words.
type Reason string

// The reasons.
const (
	NoNetwork   Reason = "it is not in a network of the porter's interface"
	NoAnswer    Reason = "nobody answers for it"
	GuestSilent Reason = "its guest does not answer for it"
	NotFound    Reason = "it is not in a network of the porter's interface, and nobody answers for it" // though it was asked for on the link
)

// Place is what the rules say of one address of a registration.
type Place struct {
	IP       netip.Addr
	Waiting  Reason // empty: it can be claimed
	Unproved bool   // it must not be claimed before the machine has answered for it (trust: self)
}

// Verdict is what the rules say of a registration that is accepted.
type Verdict struct {
	Monitor []machine.Address // the addresses of the machine, then those of its guests, with the MACs of these
	Places  []Place           // of each
	Unknown []netip.Addr      // of guests whose MAC nobody told, and who did not answer: left out
}

// Waiting returns the places that have to wait.
func (v Verdict) Waiting() []Place {
	var waiting []Place
	for _, p := range v.Places {
		if p.Waiting != "" {
			waiting = append(waiting, p)
		}
	}
	return waiting
}

// judge looks for a place for each address, all at once, and reports the first in
// the order of the request that refuses the registration.
func (p Policy) judge(ctx context.Context, req Request, n Network) (Verdict, error) {
	v := Verdict{Monitor: slices.Concat(req.Monitor, req.Guests)}
	v.Places = make([]Place, len(v.Monitor)) // each goroutine has its own element
	errs := make([]error, len(v.Monitor))
	var asked sync.WaitGroup
	for i, a := range v.Monitor {
		asked.Go(func() {
			if path := req.path(i); i >= len(req.Monitor) || a.Hosted() {
				v.Monitor[i], v.Places[i], errs[i] = p.guest(ctx, path, a, req, n)
			} else {
				v.Places[i], errs[i] = p.place(ctx, path, a.IP, req.MAC, n)
			}
		})
	}
	asked.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return Verdict{}, errs[i]
	}
	// A machine is known by an address of its own.
	if own := v.Places[:len(req.Monitor)]; len(own) > 0 && !slices.ContainsFunc(own, func(p Place) bool { return p.Waiting == "" }) {
		return Verdict{}, nothingToClaim(own, req.MAC)
	}
	v.leaveOut(len(req.Monitor))
	return v, nil
}

// claimable reports whether ip is an address of the machine that can be claimed.
func (v Verdict) claimable(ip netip.Addr) bool {
	i := slices.IndexFunc(v.Monitor, func(a machine.Address) bool { return a.IP == ip })
	return i >= 0 && !v.Monitor[i].Hosted() && v.Places[i].Waiting == ""
}

// leaveOut leaves the guests out, the entries from first on, whose MAC is not known.
func (v *Verdict) leaveOut(first int) {
	for i := len(v.Monitor) - 1; i >= first; i-- {
		if a := v.Monitor[i]; !a.Hosted() && v.Places[i].Waiting != "" {
			v.Unknown = append(v.Unknown, a.IP)
			v.Monitor, v.Places = slices.Delete(v.Monitor, i, i+1), slices.Delete(v.Places, i, i+1)
		}
	}
}

// place says whether ip can be claimed for mac. Who has to prove that ip is its
// own answers for it; who is in none of our prefixes proves by that where it is.
func (p Policy) place(ctx context.Context, path string, ip netip.Addr, mac ether.MAC, n Network) (Place, error) {
	here, self := n.OnLink(ip), p.Trust == Self
	switch {
	case here && !self:
		return Place{IP: ip}, nil
	case !n.CanResolve(ip):
		return Place{IP: ip, Waiting: NoNetwork, Unproved: self}, nil
	}
	macs, err := ask(ctx, ip, n)
	if err != nil {
		return Place{}, fmt.Errorf("%s: ask who has %s: %w", path, ip, err)
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

// How long silence is asked again. An address that is under test answers nobody
// for a second or two (RFC 4862 section 5.4, RFC 5227 section 2.1). The clients
// wait for an answer for 10 s, and that time has to do for a second attempt.
const (
	askTime  = 2500 * time.Millisecond // no question begins later
	askPause = 300 * time.Millisecond  // between the beginnings of two, at least
)

// ask asks who has ip until one answers. No answer is no error.
func ask(ctx context.Context, ip netip.Addr, n Network) ([]ether.MAC, error) {
	end := time.Now().Add(askTime)
	for {
		next := time.Now().Add(askPause)
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

// disputed refuses an address that others answer for.
func (p Policy) disputed(path string, ip netip.Addr, mac ether.MAC, others []ether.MAC) error {
	names := make([]string, len(others))
	for i, m := range others {
		names[i] = m.String()
	}
	// A Linux host with two cards on one LAN answers with both for each of its
	// addresses, unless a sysctl says otherwise.
	return Refuse(Refused, "%s: %s answers for %s: expected %s alone (trust: %v); if that is a second card of the machine, set its sysctl net.ipv4.conf.all.arp_ignore=1",
		path, strings.Join(names, " and "), ip, mac, p.Trust)
}

// nothingToClaim refuses a registration of which every address has to wait. Where
// one of them may be answered for in a moment, trying again helps.
func nothingToClaim(places []Place, mac ether.MAC) error {
	for i, p := range places {
		switch p.Waiting {
		case NoAnswer:
			return Refuse(Refused, "%s: nobody answers for %s: expected %s (trust: self), %s", monitorIP(i), p.IP, mac, tryAgain)
		case NotFound:
			return Refuse(Refused, "%s: nobody answers for %s, which is not in a network of the porter's interface: expected %s, %s",
				monitorIP(i), p.IP, mac, tryAgain)
		}
	}
	return Refuse(Refused, "%s: found %s, which is not in a network of the porter's interface: expected an address in one",
		monitorIP(0), places[0].IP)
}
