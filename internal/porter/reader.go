package porter

import (
	"net/netip"
	"sync/atomic"
	"time"

	"nightporter/internal/claim"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// sighting is what a reader reports to the loop.
type sighting struct {
	kind   sightingKind
	why    machine.Suppression // of a knock that does not wake
	watch  *watch
	addr   *address       // nil for a frame that spoke for no address
	door   *door          // of a knock, and of what was accepted or objected to
	source netip.AddrPort // of a knock
	at     time.Time      // of a knock: the kernel's receive time
	by     machine.MAC    // of a conflict: who else uses the address
}

type sightingKind uint8

const (
	sawFrame      sightingKind = iota // from its MAC, for none of its addresses
	sawTest                           // testing whether it may use an address (RFC 5227, RFC 4862 section 5.4)
	sawUse                            // using an address
	sawPacket                         // sending an IP packet from an address
	sawAnswer                         // answering our own question for an address
	sawTold                           // telling everybody where an address is, by asking or by saying so
	sawAccepted                       // taking our SYN
	sawObjected                       // refusing our datagram
	sawKnock                          //
	sawConflict                       //
	sawSuppressed                     // a knock that is not to wake
	sawAsked                          // somebody else asking for an address that its network card answers for too
	sightingKinds
)

// reader turns the frames of one interface into answers and sightings. It runs
// on the goroutines that read the interface's sockets, and never blocks.
type reader struct {
	view      atomic.Pointer[view]
	responder claim.Responder
	forward   func(p *lan.Packet, to machine.MAC) error
	isn       uint32 // initial sequence number of our SYNs
	lookups   lookups
	sightings chan<- sighting
	lost      atomic.Uint64 // sightings that the loop was too far behind to take
}

func (r *reader) handle(p *lan.Packet) {
	v := r.view.Load()
	switch p.Kind {
	case lan.ARPReply, lan.NeighborAdvertisement:
		r.lookups.answered(p)
	}
	// A watched machine can be the client of another one.
	if w, ok := v.machines[p.Src]; ok {
		r.heard(v, w, p)
	}
	switch p.Kind {
	case lan.TCP, lan.UDP, lan.EchoRequest, lan.EchoReply, lan.PortUnreachable, lan.IP:
		r.visit(v, p)
	default:
		r.neighbor(v, p)
	}
}

// neighbor takes ARP and neighbour discovery.
func (r *reader) neighbor(v *view, p *lan.Packet) {
	switch r.responder.Handle(p, v.holding) {
	case claim.Conflict:
		r.conflict(v, p)
	case claim.Answered:
		// A machine that arrives may have answered as well, and last.
		if a := v.addrs[asked(p)]; a != nil {
			r.drawn(a.watch, p)
			r.rivalled(a, p)
		}
	}
}

// asked returns the address that p asks for.
func asked(p *lan.Packet) netip.Addr {
	if p.Kind == lan.NeighborSolicitation {
		return p.Target
	}
	return p.To
}

// heard takes a frame from a watched machine.
func (r *reader) heard(v *view, w *watch, p *lan.Packet) {
	kind, ip := spokenFor(p)
	a := v.addrs[ip]
	mere := kind == sawAnswer && r.mere(p)
	if mere && w.card.Load() {
		// It says nothing of the machine, and we go on answering.
		if a != nil && a.watch == w {
			r.report(&a.spoken[kind], sighting{kind: kind, watch: w, addr: a})
		}
		return
	}
	if a == nil || a.watch != w {
		r.report(&w.framed, sighting{kind: sawFrame, watch: w})
		return
	}
	// Not one more answer, whatever the loop is busy with: a machine that
	// tests its address would take the answer for a duplicate.
	for _, mine := range w.addrs {
		mine.answer.Store(false)
	}
	if kind == sawAnswer && !mere {
		kind = sawUse // it answered somebody else, or announced itself
	}
	r.report(&a.spoken[kind], sighting{kind: kind, watch: w, addr: a})
	switch {
	case p.Kind == lan.TCP || p.Kind == lan.PortUnreachable:
		r.replied(a, p)
	case p.Network == 0 || p.Target.IsValid(): // ARP and neighbour discovery
		r.drawn(w, p)
	}
}

// drawn notes that a machine which arrives has told everybody where it is, also
// those who have to wait here.
func (r *reader) drawn(w *watch, p *lan.Packet) {
	if p.Dst != r.responder.Self && w.hold.Passing() {
		r.report(&w.told, sighting{kind: sawTold, watch: w})
	}
}

// replied takes a machine's reply to our question whether a service is ready.
func (r *reader) replied(a *address, p *lan.Packet) {
	switch {
	case p.Dst != r.responder.Self:
	case p.Kind == lan.PortUnreachable && ours(p.FromPort):
		if d := a.door(machine.Port{Protocol: machine.UDP, Number: p.ToPort}); d != nil && p.Target == a.ip {
			r.report(&d.objected, sighting{kind: sawObjected, watch: a.watch, addr: a, door: d})
		}
	case p.Kind == lan.TCP && p.SYNACK() && ours(p.ToPort) && p.Ack == r.isn+1:
		if d := a.door(machine.Port{Protocol: machine.TCP, Number: p.FromPort}); d != nil {
			r.report(&d.accepted, sighting{kind: sawAccepted, watch: a.watch, addr: a, door: d})
		}
		// Our kernel knows nothing of that connection and would end it too, as
		// far as its firewall lets it.
		if reset, err := lan.ResetFor(p, r.responder.Self); err == nil {
			_ = r.responder.Send(reset) // the machine gives up by itself as well
		}
	}
}

// spokenFor returns the address for which the sender of p speaks, and how.
func spokenFor(p *lan.Packet) (sightingKind, netip.Addr) {
	switch p.Kind {
	case lan.ARPRequest:
		if p.From.IsUnspecified() { // a probe, RFC 5227 section 2.1.1
			return sawTest, p.To
		}
	case lan.ARPReply:
		return sawAnswer, p.From
	case lan.NeighborSolicitation:
		if p.From.IsUnspecified() { // RFC 4862 section 5.4.2
			return sawTest, p.Target
		}
	case lan.NeighborAdvertisement:
		return sawAnswer, p.Target
	case lan.TCP, lan.UDP, lan.EchoRequest, lan.EchoReply, lan.PortUnreachable, lan.IP:
		return sawPacket, p.From
	}
	return sawUse, p.From
}

// visit takes a packet that came to us for the address of a machine.
func (r *reader) visit(v *view, p *lan.Packet) {
	a := v.addrs[p.To]
	if a == nil || a.mac == p.Src || p.Dst != r.responder.Self || !p.Src.Unicast() || a.conceded.Load() {
		return
	}
	d := a.knockedAt(p, v.established)
	knocks := d != nil && v.mayWake(a.watch, p.From) && (v.rules == nil || !r.suppressed(v.rules, a, d, p))
	var service machine.Service
	if knocks {
		service = d.service
		r.report(&d.knocked, sighting{
			kind: sawKnock, watch: a.watch, addr: a, door: d,
			source: netip.AddrPortFrom(p.From, p.FromPort), at: p.Time,
		})
	}
	if a.hold.Take(p, knocks, service) == handover.Forward {
		// Who sends it again is forwarded again.
		_ = r.forward(p, a.mac)
	}
}

func (r *reader) conflict(v *view, p *lan.Packet) {
	ip := p.From
	if p.Kind == lan.NeighborAdvertisement {
		ip = p.Target
	}
	if a := v.addrs[ip]; a != nil {
		r.report(&a.conflict, sighting{kind: sawConflict, watch: a.watch, addr: a, by: claim.Stated(p)})
	}
}

// report sends s to the loop, unless one of its kind is on its way already.
func (r *reader) report(underway *atomic.Bool, s sighting) {
	if !underway.CompareAndSwap(false, true) {
		return
	}
	select {
	case r.sightings <- s:
	default:
		// The loop is far behind. A knock is repeated by its client, a
		// machine that is up goes on speaking.
		underway.Store(false)
		r.lost.Add(1)
	}
}

// taken marks s as arrived, so that the next of its kind is reported.
func (s *sighting) taken() {
	switch s.kind {
	case sawFrame:
		s.watch.framed.Store(false)
	case sawTold:
		s.watch.told.Store(false)
	case sawAccepted:
		s.door.accepted.Store(false)
	case sawObjected:
		s.door.objected.Store(false)
	case sawTest, sawUse, sawPacket, sawAnswer:
		s.addr.spoken[s.kind].Store(false)
	case sawKnock:
		s.door.knocked.Store(false)
	case sawConflict:
		s.addr.conflict.Store(false)
	case sawSuppressed:
		s.watch.suppressed[s.why].Store(false)
	case sawAsked:
		s.watch.asked.Store(false)
	}
}
