package fastpath

import (
	"net/netip"
	"slices"

	"nightporter/internal/claim"
	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/wakefilter"
)

// Rules are what holds for all machines of a view.
type Rules struct {
	From        []netip.Prefix    // may wake at all; empty: every client
	Established bool              // data on a connection knocks too
	Filter      *wakefilter.Rules // which knocks wake; nil: all of them
}

// View is what the readers of one interface look for. It never changes once they
// have it; what changes often inside its targets is atomic.
type View struct {
	rules    Rules
	targets  map[ether.MAC]*Target // by their own MACs and those of their guests
	addrs    map[netip.Addr]*Address
	interest lan.Interest // but for our own addresses
}

// NewView returns a view without targets.
func NewView(rules Rules) *View {
	return &View{rules: rules, targets: make(map[ether.MAC]*Target), addrs: make(map[netip.Addr]*Address)}
}

// Add puts a target into the view, before readers have it. The kernel filter lets
// through what comes to us for its addresses, and with whole also all that the machine
// sends, and what our own host sends to it: that may be a lot while the machine is
// awake, and is to cost nothing then.
//
// elsewhere reports which of its addresses the target has not at present: it has
// left them to another host, or they wait. Another host may have registered such an
// address, and then is the target for it.
func (v *View) Add(t *Target, whole bool, elsewhere func(netip.Addr) bool) {
	v.targets[t.MAC] = t
	if v.targets[t.cardMAC] == nil { // else it is MAC
		v.targets[t.cardMAC] = t
	}
	if whole {
		v.interest.MACs = append(v.interest.MACs, t.MAC)
	}
	for _, a := range t.addrs {
		if v.addrs[a.ip] == nil || !elsewhere(a.ip) {
			v.addrs[a.ip] = a
		}
		v.interest.Addrs = append(v.interest.Addrs, a.ip)
		if whole {
			v.interest.Sent = append(v.interest.Sent, a.ip)
		}
	}
}

// AddGuests has the readers know the guests of a target, of those at whose addresses it
// is asked. A machine that is known by itself is nobody's guest.
func (v *View) AddHosted(t *Target, whole bool, asked func(netip.Addr) bool) {
	for _, a := range t.addrs {
		if a.mac == t.MAC || !asked(a.ip) {
			continue
		}
		if other := v.targets[a.mac]; other == nil || other.MAC != a.mac {
			v.targets[a.mac] = t
		}
		if whole && !slices.Contains(v.interest.MACs, a.mac) {
			v.interest.MACs = append(v.interest.MACs, a.mac)
		}
	}
}

// Address returns the address of a target, or nil.
func (v *View) Address(ip netip.Addr) *Address { return v.addrs[ip] }

// Target returns the target that has a MAC, or whose guest has it, or nil.
func (v *View) Target(mac ether.MAC) *Target { return v.targets[mac] }

// Interest returns what the kernel filter has to let through, beside what is for
// the addresses of our own host.
func (v *View) Interest(own []netip.Addr) lan.Interest {
	in := v.interest
	in.Own = own
	return in
}

// holding says for the responder whether we answer for an address.
func (v *View) holding(ip netip.Addr) (claim.Holding, bool) {
	a := v.addrs[ip]
	if a == nil {
		return claim.Holding{}, false
	}
	return claim.Holding{Owner: a.mac, Answer: a.AnswersClients()}, true
}

// mayWake reports whether a knock from ip counts at a service. A machine can narrow
// what the operator allows, a service what its machine does, and none can widen it.
func (v *View) mayWake(t *Target, s *Service, ip netip.Addr) bool {
	return within(v.rules.From, ip) && within(t.wakeFrom, ip) && within(s.wakeFrom, ip)
}

// within reports whether ip is in one of the prefixes; without any it is.
func within(prefixes []netip.Prefix, ip netip.Addr) bool {
	return len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}
