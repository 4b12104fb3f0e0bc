package porter

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// Our questions to services come from ports that no kernel gives to a program
// by default (Linux, ip_local_port_range), so that an answer is ours.
const (
	firstPort = 61000
	lastPort  = 64999
)

// ours reports whether a question of ours came from port.
func ours(port uint16) bool { return firstPort <= port && port <= lastPort }

// pinAgain is how often those who wait are told that they do it here, if the
// machine says nothing: it may have spoken to one of them alone.
const pinAgain = time.Second

// usher has the machine's clients wait, or lets them through, as its state
// asks for.
func (p *Porter) usher(now time.Time, r *resident) {
	if r.nic == nil {
		return
	}
	r.judge.Follow(r.Rests())
	switch s := r.State(); {
	case s == machine.Settling:
		r.hold.Keep() // perhaps it is to wake as soon as it is off
	case s == machine.Awake || !r.Kept(): // the latter when the porter leaves
		// Who came while it was only said to go to sleep has reached it otherwise
		// by now, or has given up.
		if !r.hold.Closed() && (s == machine.Arriving || s == machine.Awake && r.Kept()) {
			p.letAllIn(r)
		}
		if !r.Kept() {
			r.hold.Close()
		}
	case s == machine.Arriving:
		r.hold.Pass()
	default:
		r.hold.Keep()
	}
	if r.State() != machine.Arriving {
		r.readiness.Reset()
	}
	p.inquiries.Set(r, r.readiness.Next())
}

// inquire asks the services whose turn it is whether they are ready.
func (p *Porter) inquire(now time.Time, r *resident) {
	ask, ready := r.readiness.Due(now, p.pace())
	for _, s := range ask {
		r.nic.ask(r.watch.mac, s)
	}
	if !now.Before(r.repin) {
		p.pin(r)
	}
	p.letIn(r, ready)
}

// answered takes the machine's answer for one of its addresses.
func (p *Porter) answered(r *resident, ip netip.Addr) {
	if r.State() == machine.Arriving {
		p.letIn(r, r.readiness.Answered(time.Now(), ip))
	}
}

func (p *Porter) accepted(r *resident, s machine.Service) {
	if r.State() == machine.Arriving && r.readiness.Accepted(s) {
		p.letIn(r, []machine.Service{s})
	}
}

func (p *Porter) objected(r *resident, s machine.Service) {
	r.readiness.Objected(time.Now(), s)
	p.inquiries.Set(r, r.readiness.Next())
}

// letIn lets those through who wait for services that have become ready. With
// the last of them the wake ends.
func (p *Porter) letIn(r *resident, ready []machine.Service) {
	if r.readiness.Done() {
		p.tell(r, machine.ServicesReady{})
		return
	}
	for _, s := range ready {
		p.unpin(r, r.hold.Leaving(s))
		p.logReplay(r, s.String(), r.hold.Admit(s, r.replay))
	}
	p.inquiries.Set(r, r.readiness.Next())
}

// letAllIn lets everybody through. Where the machine's addresses are is said
// before the first packet reaches it, so that its client's next one does too.
func (p *Porter) letAllIn(r *resident) {
	p.unpin(r, r.hold.Guests())
	p.logReplay(r, "all", r.hold.Open(r.replay))
}

func (p *Porter) logReplay(r *resident, service string, packets int) {
	if packets > 0 {
		p.log.Debug("waiting packets sent on", "machine", r, "service", service, "packets", packets)
	}
}

// replay sends a packet that has waited to its machine.
func (r *resident) replay(frame []byte, sum lan.Checksum) error {
	p := lan.Packet{Sum: sum}
	if v := p.Parse(frame); v != lan.Accepted {
		return fmt.Errorf("a frame that was kept is %v", v)
	}
	return r.nic.reader.forward(&p, r.watch.mac)
}

// pin keeps everybody who waits with us, although the machine speaks for
// itself: its next SYN would be refused by a machine whose service is not ready
// (design, fact 8).
func (p *Porter) pin(r *resident) {
	if r.State() != machine.Arriving {
		return
	}
	r.repin = time.Now().Add(pinAgain)
	for _, g := range r.hold.Guests() {
		if g.MAC != r.nic.MAC() { // our own host's entry does not listen
			r.nic.guide(g, r.nic.MAC())
		}
	}
}

// unpin sends guests to the machine.
func (p *Porter) unpin(r *resident, guests []handover.Guest) {
	for _, g := range guests {
		if g.MAC == r.nic.MAC() {
			p.guideHost(r.nic, []netip.Addr{g.Addr}, r.watch.mac)
			continue
		}
		r.nic.guide(g, r.watch.mac)
	}
}

// tellGuest says to one client alone that the machine's address is at owner.
func (n *nic) tellGuest(g handover.Guest, owner machine.MAC) {
	client := g.IP
	if !n.network.Load().Contains(client) {
		client = netip.Addr{} // the frame goes to a router
	}
	n.say(g.MAC, client, g.Addr, owner)
}

// question asks a service of the machine whether it is ready.
func (n *nic) question(mac machine.MAC, s machine.Service) {
	source, ok := n.sourceNear(s.Addr)
	if !ok {
		n.log.Debug("no address to ask a service from", "service", s)
		return
	}
	n.port++
	from := netip.AddrPortFrom(source, firstPort+n.port%(lastPort-firstPort+1))
	to := netip.AddrPortFrom(s.Addr, s.Number)
	var frame []byte
	var err error
	if s.Protocol == machine.UDP {
		frame, err = lan.DatagramProbe(n.MAC(), mac, from, to)
	} else {
		frame, err = lan.SYNProbe(n.MAC(), mac, from, to, n.reader.isn)
	}
	if err != nil {
		n.log.Warn("cannot ask a service", "service", s, "err", err)
		return
	}
	n.send(frame)
}

// sourceNear returns our address in the network of ip, which the machine's own
// firewall lets in where it lets its neighbours in.
func (n *nic) sourceNear(ip netip.Addr) (netip.Addr, bool) {
	network := n.network.Load()
	i := slices.IndexFunc(network.Prefixes, func(p netip.Prefix) bool { return p.Masked().Contains(ip) })
	if i >= 0 {
		return network.Prefixes[i].Addr(), true
	}
	return network.SourceFor(ip)
}
