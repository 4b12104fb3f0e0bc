package fastpath

import (
	"net/netip"
	"slices"

	"nightporter/internal/claim"
	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/wakefilter"
)

// Rules are the rules about knocks for all machines of a view.
type Rules struct {
	From        []netip.Prefix    // may wake at all; empty: every client
	Established bool              // data on a connection knocks too
	Filter      *wakefilter.Rules // which knocks wake; nil: all of them
}

// View has the machines of one interface for its readers. It never changes once it is set;
// the fields of its targets that change are atomic.
type View struct {
	rules    Rules
	targets  map[ether.MAC]*Target // by their own MACs and those of their guests
	addrs    map[netip.Addr]*Address
	interest lan.Interest // without our own addresses
}

// NewView returns a view without targets.
func NewView(rules Rules) *View {
	return &View{rules: rules, targets: make(map[ether.MAC]*Target), addrs: make(map[netip.Addr]*Address)}
}

// Add adds a target to the view, before readers have it. The kernel filter passes packets to
// us for its addresses, and with whole also all frames of the machine and packets of our own
// host to it. These are not needed while the machine is awake, when there may be many.
//
// elsewhere reports which of its addresses the target does not have at present: they are
// conceded, or cannot be claimed. Another machine may have registered such an address, and
// is the target for it then.
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

// AddGuests adds the guests of a target at those addresses that are probed. A machine of its
// own is no guest.
func (v *View) AddGuests(t *Target, whole bool, asked func(netip.Addr) bool) {
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

// holding tells the responder whether we answer for an address.
func (v *View) holding(ip netip.Addr) (claim.Holding, bool) {
	a := v.addrs[ip]
	if a == nil {
		return claim.Holding{}, false
	}
	return claim.Holding{Owner: a.mac, Answer: a.AnswersClients()}, true
}

// mayWake reports whether a knock from ip counts at a service. A machine can narrow what the
// configuration allows, and a service what its machine allows.
func (v *View) mayWake(t *Target, s *Service, ip netip.Addr) bool {
	return within(v.rules.From, ip) && within(t.wakeFrom, ip) && within(s.wakeFrom, ip)
}

// within reports whether ip is in one of the prefixes, or there are none.
func within(prefixes []netip.Prefix, ip netip.Addr) bool {
	return len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}
