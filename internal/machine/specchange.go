package machine

import (
	"net/netip"
	"slices"
	"time"
)

// unplacedReason is the reason of a new address until Placed arrives.
const unplacedReason = "it is new, and its network was not looked at yet"

// changeSpec replaces the specification of a machine that has not registered, in every
// state. Addresses that stay its own stay claimed.
func (m registering) changeSpec(now time.Time, spec Spec) {
	if m.state == Asleep && (m.spec.IdleWatts != spec.IdleWatts || m.spec.SleepWatts != spec.SleepWatts) {
		m.account(now.Sub(m.since), now) // closed with the power figures of before
		m.since = now
	}
	m.addrs.change(&m.spec, &spec)
	spec.Agentless, spec.Unwatched = m.spec.Agentless, m.spec.Unwatched // those are for Configured
	m.setSpec(spec)
	m.changed = true
	if m.state == Arriving {
		m.waking().checkServices()
	}
}

// setSpec replaces the specification and drops data that it makes obsolete.
func (m registering) setSpec(spec Spec) {
	m.spec = spec
	m.otherAddrs = slices.DeleteFunc(slices.Clone(m.otherAddrs), spec.Has)
	m.knocks = m.knocks.among(spec.Ports())
}

// change replaces the addresses by those of another specification. An address with
// another owner counts as another address.
func (as *addresses) change(was, is *Spec) {
	stays := func(ip netip.Addr) bool { return was.Has(ip) && is.Has(ip) && was.Owner(ip) == is.Owner(ip) }
	for i := range as.all {
		if a := &as.all[i]; a.standing != Own && a.standing != Conceded && !stays(a.IP) {
			as.handBack(a)
		}
	}
	as.all = slices.DeleteFunc(as.all, func(a address) bool { return !stays(a.IP) })
	as.register(is.Monitor)
	for i := range as.all {
		if a := &as.all[i]; !stays(a.IP) {
			a.reason = unplacedReason
		}
	}
}

// takeSpec stores the specification of a registration and the places of its addresses.
func (m registering) takeSpec(e Registered) {
	for i := range m.addrs.all {
		a := &m.addrs.all[i]
		if a.standing != Own && a.standing != Conceded && !e.Spec.Has(a.IP) {
			m.addrs.endClaim(a)
		}
	}
	m.setSpec(e.Spec)
	m.addrs.register(e.Spec.Monitor)
	for i := range m.addrs.all {
		a := &m.addrs.all[i]
		place := Place{Addr: a.IP}
		if j := slices.IndexFunc(e.Places, func(p Place) bool { return p.Addr == a.IP }); j >= 0 {
			place = e.Places[j]
		}
		before := a.status().Reason
		if a.standing == Conceded {
			a.standing, a.recheck = Own, recheck{}
		}
		a.answered = a.answered || !place.Unproved
		a.reason, a.unproved = place.Reason, !a.answered
		if why := a.status().Reason; why != "" && !(e.Repeated && why == before) {
			m.do(AddressWaits{Addr: a.IP, Reason: why})
		}
	}
}
