package porter

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// restore tells the kernel again what it forgets with a link or an address.
func (p *Porter) restore(n *nic) {
	if err := n.link.Load().CheckGroups(); err != nil {
		p.log.Warn("a switch with MLD snooping may hide solicitations from us", "interface", n.name, "err", err)
	}
	if p.bound() && p.Guard().Active {
		p.checkBound(n)
	}
	if !n.local {
		return
	}
	pinned, err := lan.PinnedNeighbors(n.Index(), n.MAC())
	if err != nil {
		p.log.Debug("cannot read the neighbour table", "err", err)
	}
	for _, r := range p.sorted() {
		if r.nic == n && awaitsAtOurs(r) {
			p.pinForHost(r, slices.DeleteFunc(r.Claimed(), func(ip netip.Addr) bool { return slices.Contains(pinned, ip) }))
		}
	}
}

// awaitsAtOurs tells whether a machine's clients are to come to us.
func awaitsAtOurs(r *entry) bool {
	return r.State() == machine.Asleep || r.State() == machine.Waking || r.State() == machine.Arriving
}

// askFirst asks machines that sleep whether they still do: one that was started
// meanwhile answers, and its claim is given up before it is announced anew.
func (p *Porter) askFirst(n *nic) {
	for _, r := range p.sorted() {
		if r.nic != n || r.State() != machine.Asleep {
			continue
		}
		for _, ip := range r.Claimed() {
			if err := n.probe(r.Spec().MAC, ip); err != nil {
				p.log.Debug("cannot ask a machine whether it sleeps", "machine", r, "ip", ip, "err", err)
			}
		}
		if r.CardAnswers() {
			p.interrogate(r, r.Claimed())
		}
	}
}

// restateClaims announces what is claimed on n once more: switches and clients
// may have forgotten it, or know it with a MAC that we no longer have. Of
// machines that wake nothing is said, for they may be testing their addresses;
// clients that wait for one that arrives are pinned by unicast.
func (p *Porter) restateClaims(now time.Time, n *nic) {
	n.restate = time.Time{}
	claims := 0
	for _, r := range p.sorted() {
		switch {
		case r.nic != n:
		case r.State() == machine.Arriving:
			p.pin(r)
		case r.State() == machine.Asleep:
			for _, ip := range r.Claimed() {
				n.announcer.Announce(now, ip, n.MAC())
				claims++
			}
		}
	}
	p.log.Info("claims announced anew", "interface", n.name, "addresses", claims)
}
