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
	toldAgain = 4 * time.Second

	// pinned is how many hosts are told so for one address. Each has to remember it,
	// and a kernel remembers a thousand neighbors (Linux, gc_thresh3).
	pinned = 64
)

// pins are whom a machine that arrives has told that its addresses are at our MAC, and
// when that is done again.
type pins struct {
	rounds  *rate.Limiter // those that need no pause
	last    time.Time     // of the last round
	again   time.Time     // when all clients are told again
	twice   bool          // the next round is followed by another
	clients turns
	addrs   []netip.Addr // of which hosts are told that have not asked
	hosts   turns
}

func newPins() pins { return pins{rounds: rate.NewLimiter(rate.Every(pinPause), pinRounds)} }

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
		e.pins.again = time.Time{}
		e.pinSoon(time.Now())
	}
}

// pinHosts has the other hosts on the LAN told that addresses of the machine are at our
// MAC.
func (e *entry) pinHosts(addrs []netip.Addr) {
	if e.State() != machine.Arriving || e.nic == nil {
		return
	}
	for _, ip := range addrs {
		if !slices.Contains(e.pins.addrs, ip) {
			e.pins.addrs = append(e.pins.addrs, ip)
		}
	}
	e.pins.hosts.begin()
	e.pinSoon(time.Now())
}

// pinSoon begins a round as soon as the machine may have one.
func (e *entry) pinSoon(now time.Time) {
	at := now
	if e.pins.rounds.TokensAt(now) < 1 {
		at = e.pins.last.Add(pinPause)
	}
	e.nic.pins.Set(e, at)
}

// refused takes in that a machine which arrives refuses connections at a service. A
// newcomer would meet that refusal: the answer of the machine's own kernel to its
// question is faster than ours. So hosts that were heard on the LAN are told before
// they ask, and again while it lasts.
func (e *entry) refused() {
	if now := time.Now(); e.State() == machine.Arriving && now.Sub(e.refusedAt) >= toldAgain {
		e.refusedAt = now
		e.pinHosts(e.Claimed())
	}
}

// diverted takes in that a machine which arrives said that it has an address.
func (e *entry) diverted(addr netip.Addr) {
	e.pin()
	if !e.refusedAt.IsZero() {
		e.pinHosts([]netip.Addr{addr})
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
		e.pins.addrs = nil
		e.tells.SetLimitAt(now, tellRate)
		return
	}
	p := &e.pins
	p.last = now
	p.rounds.AllowN(now, 1)
	e.tells.SetLimitAt(now, l.awaited.share())
	if !now.Before(p.again) {
		p.again = now.Add(pinInterval)
		p.clients.begin()
	}
	clients := slices.DeleteFunc(e.hold.Guests(), func(g handover.Guest) bool { return g.MAC == n.MAC() }) // our own host's entry is permanent
	p.clients.take(len(clients), func(i int) bool { return e.pointRationed(clients[i], n.MAC()) })
	if len(p.addrs) > 0 {
		e.pinHostsNow(&l.machines)
	}
	next := p.again
	if p.twice || p.clients.left > 0 || len(p.addrs) > 0 {
		next = now.Add(pinPause)
	}
	if p.twice {
		p.twice, p.again = false, next
	}
	n.pins.Set(e, next)
}

// pinHostsNow tells hosts that have not asked. One that sleeps is left alone, with its
// guests: some cards wake on any unicast frame.
func (e *entry) pinHostsNow(machines *registry) {
	p, n := &e.pins, e.nic
	var all []handover.Guest
	for _, addr := range p.addrs {
		for _, host := range n.reader.Hosts(addr.Is6(), pinned) {
			other := machines.at(n, host.MAC)
			asleep := other != nil && other.State() != machine.Awake
			if other != e && !asleep && n.network.Load().Contains(host.IP) {
				all = append(all, handover.Guest{Addr: addr, MAC: host.MAC, IP: host.IP})
			}
		}
	}
	p.hosts.take(len(all), func(i int) bool {
		if !e.mayTell(1, true) {
			return false
		}
		n.correctOnce(all[i], n.MAC())
		return true
	})
	if p.hosts.left == 0 {
		p.addrs = nil
	}
}

// remind tells the other hosts on the LAN one by one that we have an address: some take
// no announcement. One that does not know the address learns nothing from it. Those that
// wait for machines go before them.
func (n *nic) remind(ip netip.Addr) {
	for _, host := range n.reader.Hosts(ip.Is6(), pinned) {
		if n.tells.Tokens() < tellAll/2 {
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
		n.tells.Allow()
		n.send(frame)
	}
}
