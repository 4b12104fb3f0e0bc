package porter

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/handover"
	"nightporter/internal/machine"
)

// pin keeps clients with held packets here, although the machine speaks for itself:
// a machine whose service is not ready would refuse their next SYN.
func (e *entry) pin() {
	if e.State() == machine.Arriving && e.nic != nil {
		e.pinState.clientsAt = time.Time{}
		e.pinSoon(time.Now())
	}
}

// pinHosts has the other hosts on the LAN told that an address of the machine is at our
// MAC, before they are told so of others. Those that were not told the last time come
// first.
func (e *entry) pinHosts(addr netip.Addr) {
	if e.State() != machine.Arriving || e.nic == nil {
		return
	}
	p, u := &e.pinState, hostRound{ip: addr}
	if i := slices.IndexFunc(p.hosts, func(u hostRound) bool { return u.ip == addr }); i >= 0 {
		u = p.hosts[i]
		p.hosts = slices.Delete(p.hosts, i, i+1)
	}
	u.turns.begin()
	p.hosts = slices.Insert(p.hosts, 0, u)
	e.pinSoon(time.Now())
}

// pinSoon begins a round as soon as the machine may have one.
func (e *entry) pinSoon(now time.Time) {
	at := now
	if e.pinState.roundLimit.TokensAt(now) < 1 {
		at = e.pinState.lastRound.Add(pinPause)
	}
	e.nic.pins.Set(e, at)
}

// refused takes in that a machine which arrives refuses connections at an address. A
// newcomer would meet that refusal: the answer of the machine's own kernel to its
// question is faster than ours. So hosts that were heard on the LAN are told before
// they ask, and again while it lasts.
func (e *entry) noteRefusal(addr netip.Addr) {
	if now := time.Now(); e.State() == machine.Arriving && now.Sub(e.refusedAt) >= refusalInterval {
		e.refusedAt = now
		for _, other := range e.Claimed() {
			e.pinHosts(other)
		}
		e.pinHosts(addr)
	}
}

// diverted takes in that a machine which arrives said that it has an address.
func (e *entry) noteDiversion(addr netip.Addr) {
	e.pin()
	if !e.refusedAt.IsZero() {
		e.pinHosts(addr)
	}
}

// pinRounds has the rounds that are due.
func (l *loop) pinRounds(now time.Time) {
	for _, n := range l.nics {
		for e, ok := n.pins.Pop(now); ok; e, ok = n.pins.Pop(now) {
			l.pinRound(now, n, e)
		}
	}
}

// pinRound tells those whose turn it is. Clients with held packets go before other hosts.
func (l *loop) pinRound(now time.Time, n *nic, e *entry) {
	if e.nic != n || e.State() != machine.Arriving || !l.machines.has(e) {
		e.pinState.hosts = nil
		e.unicastLimit.SetLimitAt(now, unicastRate)
		return
	}
	p := &e.pinState
	p.lastRound = now
	p.roundLimit.AllowN(now, 1)
	e.unicastLimit.SetLimitAt(now, l.awaited.share())
	if !now.Before(p.clientsAt) {
		p.clientsAt = now.Add(pinInterval)
		p.clients.begin()
	}
	clients := slices.DeleteFunc(e.hold.Clients(), func(g handover.Client) bool { return g.MAC == n.MAC() }) // our own host's entry is permanent
	p.clients.take(len(clients), func(i int) bool { return e.sendOwnerLimited(clients[i], n.MAC()) })
	e.sendHostPins(&l.machines)
	next := p.clientsAt
	if p.repeat || p.clients.left > 0 || len(p.hosts) > 0 {
		next = now.Add(pinPause)
	}
	if p.repeat {
		p.repeat, p.clientsAt = false, next
	}
	n.pins.Set(e, next)
}

// pinHostsNow tells hosts that have not asked, as far as the ration goes.
func (e *entry) sendHostPins(machines *registry) {
	n := e.nic
	for p := &e.pinState; len(p.hosts) > 0; p.hosts = p.hosts[1:] {
		u := &p.hosts[0]
		hosts := e.hostsToPin(machines, u.ip)
		u.turns.take(len(hosts), func(i int) bool {
			if !e.allowUnicast(1, true) {
				return false
			}
			n.correct(hosts[i], n.MAC())
			return true
		})
		if u.turns.left > 0 {
			return
		}
	}
}

// newcomers are the hosts that may ask for an address of the machine next, none where it is
// left to another host. One that sleeps is left alone, with its guests: some cards wake on any
// unicast frame.
func (e *entry) hostsToPin(machines *registry, addr netip.Addr) (all []handover.Client) {
	if !slices.Contains(e.Claimed(), addr) {
		return nil
	}
	for _, host := range e.nic.reader.Hosts(addr.Is6(), maxPinnedHosts) {
		other := machines.at(e.nic, host.MAC)
		asleep := other != nil && other.State() != machine.Awake
		if other != e && !asleep && e.nic.network.Load().Contains(host.IP) {
			all = append(all, handover.Client{MachineIP: addr, MAC: host.MAC, IP: host.IP})
		}
	}
	return all
}

// noteRequesters takes the neighbors that have asked for an address of the machine, or
// sent to it.
func (e *entry) noteRequesters() {
	now := time.Now()
	for who, ip := range e.target.TakeRequesters() {
		e.nic.corrections.schedule(now, who, ip, e.hold.Opened())
	}
}

// correct sends a requester who has the address: we, if we still answer for it, or its
// machine, if that is up.
func (l *loop) correct(n *nic, g handover.Client) {
	a := n.reader.View().Address(g.MachineIP)
	if a == nil {
		return
	}
	switch e := l.machines.byMAC[a.Target().MAC]; {
	case e == nil || e.nic != n:
	case a.AnswersClients():
		e.sendOwnerLimited(g, n.MAC())
	case a.Up():
		e.sendOwnerLimited(g, a.MAC())
	}
}
