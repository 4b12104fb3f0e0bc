package porter

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"nightporter/internal/claim"
	"nightporter/internal/config"
	"nightporter/internal/fair"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// view is what the reader of one interface looks for. It is never changed once
// readers have it; what changes often inside it is atomic.
type view struct {
	machines map[machine.MAC]*watch
	addrs    map[netip.Addr]*address
	from     []netip.Prefix // who may wake at all; empty: everyone
	wanted   lan.Interest   // what the kernel filter has to let through, but for our own addresses

	established bool        // data on a connection knocks too
	rules       *fair.Rules // which knocks wake; nil: all of them
}

// newView returns a view of no machine.
func newView(c *config.Wake) *view {
	return &view{
		machines: make(map[machine.MAC]*watch), addrs: make(map[netip.Addr]*address),
		from: c.From, established: c.Established, rules: fairRules(c),
	}
}

// watch is one machine as the readers see it. The flags on the way to the loop
// bound what a flood of frames can queue: one sighting of each kind.
type watch struct {
	resident *entry // the loop's; readers only pass it on
	mac      machine.MAC
	from     []netip.Prefix // who may wake it, of those who may at all; empty: all of them
	addrs    []*address
	hold     *handover.Hold
	judge    *fair.Judge
	framed   atomic.Bool // a frame for none of its addresses is on its way to the loop
	told     atomic.Bool // so is one that may have drawn clients to the machine

	card   atomic.Bool // mere answers are its network card's and say nothing; the loop sets it
	askers askers
	asked  atomic.Bool // that there are any is on its way to the loop

	suppressed [len(machine.Suppressions)]atomic.Bool // by reason: a knock that does not wake is
}

// address is one address of a watched machine.
type address struct {
	*watch
	ip     netip.Addr
	doors  []*door
	answer atomic.Bool // answer for it now; the reader itself clears it when the machine speaks

	conceded atomic.Bool // left to another host: its packets are none of our business

	spoken   [sightingKinds]atomic.Bool // by kind: on its way to the loop
	conflict atomic.Bool                // on its way to the loop
}

// door is one service, at which a knock wakes.
type door struct {
	service machine.Service

	// On their way to the loop.
	knocked  atomic.Bool
	accepted atomic.Bool // it took our SYN
	objected atomic.Bool // it refused our datagram
}

func newWatch(r *entry, spec machine.Spec) *watch {
	w := &watch{resident: r, mac: spec.MAC, from: spec.WakeFrom, hold: r.hold, judge: r.judge}
	w.card.Store(r.CardAnswers())
	for _, m := range spec.Monitor {
		a := &address{watch: w, ip: m.IP}
		for _, p := range m.Ports {
			a.doors = append(a.doors, &door{service: machine.Service{Addr: m.IP, Port: p}})
		}
		w.addrs = append(w.addrs, a)
	}
	return w
}

// answerFor makes the readers answer for these addresses too.
func (w *watch) answerFor(ips []netip.Addr) { w.answers(ips, true) }

// answers has the readers answer for some of the addresses, or be silent.
func (w *watch) answers(ips []netip.Addr, answer bool) {
	for _, a := range w.addrs {
		if slices.Contains(ips, a.ip) {
			a.answer.Store(answer)
		}
	}
}

// silence stops answering for some of the addresses.
func (w *watch) silence(ips []netip.Addr) { w.answers(ips, false) }

// concede leaves an address to another host, or takes it back.
func (w *watch) concede(ip netip.Addr, conceded bool) {
	for _, a := range w.addrs {
		if a.ip == ip {
			a.conceded.Store(conceded)
		}
	}
}

// spoke reports whether something that the machine said is on its way to the loop,
// as opposed to the answer of its network card.
func (w *watch) spoke() bool {
	if w.framed.Load() {
		return true
	}
	for _, a := range w.addrs {
		for _, kind := range []sightingKind{sawTest, sawUse, sawPacket, sawAnswer} {
			if a.spoken[kind].Load() && !(kind == sawAnswer && w.card.Load()) {
				return true
			}
		}
	}
	return false
}

// mayWake reports whether a knock from ip counts. A machine can narrow what the
// operator allows, and not widen it.
func (v *view) mayWake(w *watch, ip netip.Addr) bool { return within(v.from, ip) && within(w.from, ip) }

// within reports whether ip is in one of the prefixes; without any it is.
func within(prefixes []netip.Prefix, ip netip.Addr) bool {
	return len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// knockedAt returns the door that p knocks at, if it does: a SYN, any datagram,
// an echo request, or data on a connection where that counts.
func (a *address) knockedAt(p *lan.Packet, established bool) *door {
	var want machine.Port
	switch p.Kind {
	case lan.TCP:
		if !p.SYN() && !(established && p.Data()) {
			return nil
		}
		want = machine.Port{Protocol: machine.TCP, Number: p.ToPort}
	case lan.UDP:
		want = machine.Port{Protocol: machine.UDP, Number: p.ToPort}
	case lan.EchoRequest:
		want = machine.Port{Protocol: machine.ICMP}
	default:
		return nil
	}
	return a.door(want)
}

func (a *address) door(port machine.Port) *door {
	for _, d := range a.doors {
		if d.service.Port == port {
			return d
		}
	}
	return nil
}

// holding tells the responder about an address. Who waits for a service that is
// not ready is answered also when the machine speaks for itself.
func (v *view) holding(ip netip.Addr, asker machine.MAC) (claim.Holding, bool) {
	a, ok := v.addrs[ip]
	if !ok {
		return claim.Holding{}, false
	}
	return claim.Holding{Owner: a.mac, Answer: a.answer.Load() || a.hold.Waits(ip, asker)}, true
}

// add puts a machine into the view. What passes between our own host and one that
// is only attended, which may be a lot, is to cost nothing.
func (v *view) add(r *entry) {
	whole := r.watched()
	v.machines[r.watch.mac] = r.watch
	if whole {
		v.wanted.MACs = append(v.wanted.MACs, r.watch.mac)
	}
	for _, a := range r.watch.addrs {
		// The host to which an address was left may have registered it.
		if held := v.addrs[a.ip]; held == nil || held.resident.Conceded(a.ip) {
			v.addrs[a.ip] = a
		}
		if whole {
			v.wanted.Addrs = append(v.wanted.Addrs, a.ip)
		}
	}
}

// interest returns what the kernel filter has to let through for v.
func (v *view) interest(own []netip.Addr) lan.Interest {
	in := v.wanted
	in.Own = own
	return in
}
