package machine

import (
	"net/netip"
	"time"
)

// conflict concedes an address to the host that uses it. RFC 5227 section 2.4 lets a
// host defend its own address; this is the machine's, so the porter never defends it.
func (m *Machine) conflict(now time.Time, e Conflicted, undefended bool) {
	a := m.addrs.of(e.Addr)
	switch {
	case a == nil:
		return
	case a.standing == Conceded:
		if a.recheck.requests > 0 {
			a.recheck.found++
		}
		a.rival = e.By
		m.addrs.recheckLater(now, a)
		return
	case m.state == Awake:
		return
	}
	m.tally.Conflicts++
	m.do(ConflictSeen{Addr: e.Addr, By: e.By, Undefended: undefended})
	if a.standing == Claimed || a.standing == Returned {
		m.addrs.endClaim(a)
	}
	m.do(StopAnnouncing{Addrs: []netip.Addr{e.Addr}})
	a.standing, a.recheck, a.rival = Conceded, recheck{}, e.By
	m.addrs.recheckLater(now, a)
	if m.state == Arriving {
		m.waking().checkServices()
	}
}

// contested concedes an address to a host that tests it, if the machine did not wake
// and was not heard since.
func (m *Machine) contested(now time.Time, e Contested) {
	if m.failures > 0 && (m.state == Asleep || m.state == Waking) {
		m.conflict(now, Conflicted(e), true)
	}
}
