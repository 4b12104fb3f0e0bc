package porter

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

const (
	// pinInterval is how often clients with held packets are sent a unicast ARP/NA that
	// points the address at our MAC, if the machine says nothing: it may have spoken to
	// one of them alone.
	pinInterval = time.Second

	// pinPause is the least time between two rounds of that, after the first pinRounds: a
	// machine speaks several times when its network comes up, and a client that is told
	// late meets its refusal.
	pinPause  = 50 * time.Millisecond
	pinRounds = 10

	// toldAgain is how often hosts are told that have not asked, while the machine refuses
	// connections: what a host does not use it may forget.
	refusalInterval = 4 * time.Second

	// pinned is how many hosts are told so for one address. Each has to remember it,
	// and a kernel remembers a thousand neighbors (Linux, gc_thresh3).
	maxPinnedHosts = 64
)

// pins are whom a machine that arrives has told that its addresses are at our MAC, and
// when that is done again.
type pinState struct {
	roundLimit *rate.Limiter // those that need no pause
	lastRound  time.Time     // of the last round
	clientsAt  time.Time     // when all clients are told again
	repeat     bool          // the next round is followed by another
	clients    turns
	hosts      []hostRound // the address that matters most comes first
}

// untold is an address of which the other hosts on the LAN are told, although they have
// not asked.
type hostRound struct {
	ip    netip.Addr
	turns turns
}

func newPinState() pinState {
	return pinState{roundLimit: rate.NewLimiter(rate.Every(pinPause), pinRounds)}
}

// turns are those of neighbors in a list, when not all of them can be told at once.
type turns struct{ at, left int }

func (t *turns) begin() { t.left = math.MaxInt }

// take calls tell for one neighbor of n after the other, until each has had its turn or
// tell reports that the ration is used up.
func (t *turns) take(n int, tell func(i int) bool) {
	for t.left = min(t.left, n); t.left > 0 && tell(t.at%n); t.left-- {
		t.at++
	}
}

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

// remind tells the other hosts on the LAN one by one that we have an address: some take
// no announcement. One that does not know the address learns nothing from it. Those that
// wait for machines go before them.
func (n *nic) announceToHosts(ip netip.Addr) {
	for _, host := range n.reader.Hosts(ip.Is6(), maxPinnedHosts) {
		if n.unicastLimit.Tokens() < unicastRateOfAll/2 {
			return
		}
		if n.reader.View().Target(host.MAC) != nil || !n.network.Load().Contains(host.IP) {
			continue
		}
		frame, err := lan.Reply(n.MAC(), host.MAC, n.MAC(), ip, host.IP)
		if err != nil {
			n.log.Debug("cannot remind a neighbor", "event", "correction_failed", "ip", ip, "to", host.MAC, "err", err)
			continue
		}
		n.unicastLimit.Allow()
		n.send(frame)
	}
}
