package porter

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

// carryOut carries out the actions that change who answers for addresses.
func (k *kernel) carryOut(now time.Time, e *entry, a machine.Action) {
	if e.nic == nil {
		return // nothing was ever claimed
	}
	switch a := a.(type) {
	case machine.Claim:
		k.claim(now, e, a)
	case machine.Yield:
		e.target.Silence(a.Addrs)
		e.stopAnnouncing(a.Addrs)
		k.later(func() { k.disown(e.nic, a.Addrs) })
	case machine.Release:
		e.target.Silence(a.Addrs)
		e.stopAnnouncing(a.Addrs)
		k.later(func() {
			k.disown(e.nic, a.Addrs)
			e.leaveGroups(k.log, a.Addrs)
		})
	case machine.EndClaim:
		e.target.SetGuarded(a.Addrs, false)
		k.later(func() {
			k.undivertFlows(e, a.Addrs)
			k.releaseGuard(e.nic, a.Addrs)
		})
	case machine.Announce:
		target := e.target // the machine may have registered anew before the deferred call runs
		for _, ip := range a.Addrs {
			k.later(func() { k.setNeighbor(e.nic, []netip.Addr{ip}, target.Owner(ip)) })
			e.nic.announcer.Announce(now, ip, target.Owner(ip))
		}
	case machine.StopAnnouncing:
		e.stopAnnouncing(a.Addrs)
	}
}

// stopAnnouncing ends the announcements of addresses.
func (e *entry) stopAnnouncing(addrs []netip.Addr) {
	for _, ip := range addrs {
		e.nic.announcer.Cancel(ip)
	}
}

// claim claims addresses. The kernel calls before it can take long, and the machine may
// have sent a frame from an address meanwhile, perhaps to test it. Such an address is not
// answered for or announced: the sighting of that frame is on its way, and yields it.
func (k *kernel) claim(now time.Time, e *entry, c machine.Claim) {
	k.own(e.nic, c.Addrs) // before the first packet can come to us
	e.target.Answer(c.Addrs)
	spoken := e.target.Silenced(c.Addrs)
	e.target.Silence(spoken)
	e.joinGroups(k.log, c.Addrs)
	if c.Quiet {
		e.stopAnnouncing(c.Addrs)
		return
	}
	for _, ip := range c.Addrs {
		if !slices.Contains(spoken, ip) {
			e.nic.announcer.AnnounceFrom(now.Add(c.AnnounceAfter), ip, e.nic.MAC())
		}
	}
	e.nic.announcer.Run(now)
}

// concede leaves an address to the host that uses it. Clients with held packets are
// pointed to that host, and no packet for the address is held or forwarded any more.
func (e *entry) concede(log *slog.Logger, c machine.ConflictSeen) {
	e.target.Concede(c.Addr, true)
	for _, client := range e.hold.Dismiss(func(s machine.Service) bool { return s.Addr == c.Addr }) {
		if e.nic != nil && client.MAC != e.nic.MAC() {
			e.nic.sendOwner(client, c.By)
		}
	}
	if c.Undefended {
		log.Warn("address left to a host that tests it, because the machine does not wake", "event", "conflict", "machine", e, "ip", c.Addr, "used_by", c.By)
		return
	}
	log.Warn("address conflict: left to the other host", "event", "conflict", "machine", e, "ip", c.Addr, "used_by", c.By,
		"remedy", "give the machine or the other host another address, then register the machine again")
}

// takeBack ends the conceding of an address.
func (k *kernel) takeBack(e *entry, ip netip.Addr) {
	e.target.Concede(ip, false)
	if e.nic != nil {
		e.nic.viewStale = true // another machine may have had it meanwhile
	}
	k.later(func() { // once the porter answers for it
		k.log.Info("address conflict over: no other host answers for it", "event", "conflict_over", "machine", e, "ip", ip)
	})
}

// joinGroups joins the solicited-node groups of claimed addresses.
func (e *entry) joinGroups(log *slog.Logger, addrs []netip.Addr) {
	for _, ip := range addrs {
		link := e.nic.link.Load()
		if !ip.Is6() || slices.Contains(e.groups, ip) || link == nil {
			continue
		}
		if err := link.JoinSolicitedNode(ip); err != nil {
			log.Warn("cannot join the solicited-node group: a switch with MLD snooping may hide solicitations from us",
				"event", "group_failed", "machine", e, "ip", ip, "err", err)
			continue
		}
		e.groups = append(e.groups, ip)
	}
}

// leaveGroups leaves the solicited-node groups of addresses no longer claimed.
func (e *entry) leaveGroups(log *slog.Logger, addrs []netip.Addr) {
	e.groups = slices.DeleteFunc(e.groups, func(ip netip.Addr) bool {
		if !slices.Contains(addrs, ip) {
			return false
		}
		if err := e.nic.link.Load().LeaveSolicitedNode(ip); err != nil {
			log.Debug("cannot leave the solicited-node group", "event", "group_failed", "machine", e, "ip", ip, "err", err)
		}
		return true
	})
}
