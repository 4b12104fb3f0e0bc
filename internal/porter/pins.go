package porter

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/handover"
	"nightporter/internal/machine"
)

// pinner is the part of an entry that keeps its address at our MAC while it arrives.
type pinner struct{ *entry }

// pin starts a round for the clients with held packets: the machine announces itself, but
// its service is not ready and would answer the next SYN with a RST.
func (e pinner) pin() {
	if e.State() == machine.Arriving && e.nic != nil {
		e.pinState.clientsAt = time.Time{}
		e.pinSoon(time.Now())
	}
}

// pinHosts starts a round for the other hosts on the LAN, with this address of the machine
// first. Hosts that were not reached in the last round come first.
func (e pinner) pinHosts(addr netip.Addr) {
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

// pinSoon starts a round as soon as the rate allows.
func (e pinner) pinSoon(now time.Time) {
	at := now
	if e.pinState.roundLimit.TokensAt(now) < 1 {
		at = e.pinState.lastRound.Add(pinPause)
	}
	e.nic.pins.Set(e.entry, at)
}

// noteRefusal handles a RST of an arriving machine at an address. A new client would get
// that RST too, because the machine answers its ARP request or solicitation faster than
// we do. So the hosts on the LAN are pinned before they send one, and again while the
// machine refuses.
func (e pinner) noteRefusal(addr netip.Addr) {
	if now := time.Now(); e.State() == machine.Arriving && now.Sub(e.refusedAt) >= refusalInterval {
		e.refusedAt = now
		for _, other := range e.Claimed() {
			e.pinHosts(other)
		}
		e.pinHosts(addr)
	}
}

// noteDiversion handles an ARP or NDP frame by which an arriving machine may have drawn
// clients to its own MAC.
func (e pinner) noteDiversion(addr netip.Addr) {
	e.pin()
	if !e.refusedAt.IsZero() {
		e.pinHosts(addr)
	}
}

// pinRounds runs the rounds that are due.
func (l *loop) pinRounds(now time.Time) {
	for _, n := range l.nics {
		for e, ok := n.pins.Pop(now); ok; e, ok = n.pins.Pop(now) {
			l.pinRound(now, n, e)
		}
	}
}

// pinRound pins clients with held packets first, then other hosts.
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
	clients := slices.DeleteFunc(e.hold.Clients(), func(client handover.Client) bool { return client.MAC == n.MAC() }) // our own host's entry is permanent
	p.clients.take(len(clients), func(i int) bool { return e.sendOwnerLimited(clients[i], n.MAC()) })
	pinner{e}.sendHostPins(&l.machines)
	next := p.clientsAt
	if p.repeat || p.clients.left > 0 || len(p.hosts) > 0 {
		next = now.Add(pinPause)
	}
	if p.repeat {
		p.repeat, p.clientsAt = false, next
	}
	n.pins.Set(e, next)
}

// sendHostPins pins other hosts, as far as the rate allows.
func (e pinner) sendHostPins(machines *registry) {
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

// hostsToPin returns the hosts that may send to an address of the machine next; none if the
// address is conceded. A sleeping machine and its guests are left out: some network cards
// wake on any unicast frame.
func (e pinner) hostsToPin(machines *registry, addr netip.Addr) (all []handover.Client) {
	if !slices.Contains(e.Claimed(), addr) {
		return nil
	}
	for _, host := range e.nic.reader.Hosts(addr.Is6(), maxPinnedHosts) {
		other := machines.at(e.nic, host.MAC)
		asleep := other != nil && other.State() != machine.Awake
		if other != e.entry && !asleep && e.nic.network.Load().Contains(host.IP) {
			all = append(all, handover.Client{MachineIP: addr, MAC: host.MAC, IP: host.IP})
		}
	}
	return all
}

// noteRequesters schedules corrections for the neighbors that requested an address of the
// machine, or sent to it.
func (e pinner) noteRequesters() {
	now := time.Now()
	for who, ip := range e.target.TakeRequesters() {
		e.nic.corrections.schedule(now, who, ip, e.hold.Opened())
	}
}

// correct sends a requester the MAC of an address: ours if we still answer for it, or the
// machine's if that is up.
func (l *loop) correct(n *nic, client handover.Client) {
	a := n.reader.View().Address(client.MachineIP)
	if a == nil {
		return
	}
	switch e := l.machines.byMAC[a.Target().MAC]; {
	case e == nil || e.nic != n:
	case a.AnswersClients():
		e.sendOwnerLimited(client, n.MAC())
	case a.Up():
		e.sendOwnerLimited(client, a.MAC())
	}
}
