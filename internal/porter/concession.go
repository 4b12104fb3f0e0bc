package porter

import (
	"hash/fnv"
	"net/netip"
	"time"

	"nightporter/internal/machine"
)

// concede leaves an address to the host that uses it: who waits there is sent
// to that host, and nothing that comes for it is kept or forwarded any more.
func (p *Porter) concede(r *entry, c machine.ConflictSeen) {
	r.watch.concede(c.Addr, true)
	for _, g := range r.hold.Dismiss(func(s machine.Service) bool { return s.Addr == c.Addr }) {
		if g.MAC != r.nic.MAC() {
			r.nic.guide(g, c.By)
		}
	}
	p.log.Warn("address conflict: left to the other host", "machine", r, "ip", c.Addr, "used_by", c.By,
		"remedy", "give the machine or the other host another address, then register the machine again")
}

// reclaim takes an address back that was left to another host.
func (p *Porter) reclaim(r *entry, ip netip.Addr) {
	r.watch.concede(ip, false)
	r.nic.stale = true          // it may have been another machine's meanwhile
	p.deferUntilServed(func() { // when we answer for it
		p.log.Info("address conflict over: nobody else answers for it", "machine", r, "ip", ip)
	})
}

// ask asks the whole LAN for an address that was left to another host.
func (p *Porter) ask(r *entry, ip netip.Addr) {
	now := time.Now()
	if by, used := p.userOf(r, ip); used {
		r.Handle(now, machine.Conflicted{Addr: ip, By: by})
		return
	}
	err := r.nic.probe(machine.Broadcast, ip)
	if err == nil {
		err = r.nic.carrier()
	}
	if err != nil {
		p.log.Debug("cannot ask for an address that was left to another host", "machine", r, "ip", ip, "err", err)
		r.Handle(now, machine.Unasked{Addr: ip})
	}
}

// userOf returns who is known to use an address that was left to another host,
// although no question to the LAN would find out: our own kernel, or a machine
// that registered it since, perhaps asleep.
func (p *Porter) userOf(r *entry, ip netip.Addr) (machine.MAC, bool) {
	if r.nic.network.Load().Own(ip) {
		return r.nic.MAC(), true
	}
	for _, other := range p.machines {
		spec := other.Spec()
		if other != r && other.watched() && spec.Has(ip) && !other.Conceded(ip) {
			return spec.MAC, true
		}
	}
	return machine.MAC{}, false
}

// number tells this porter from others, from one start to the next.
func (p *Porter) number() uint64 {
	h := fnv.New64a()
	for _, n := range p.nics {
		mac := n.MAC()
		h.Write(mac[:])
	}
	return h.Sum64()
}
