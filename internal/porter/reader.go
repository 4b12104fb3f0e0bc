package porter

import (
	"net/netip"
	"sync/atomic"
	"time"

	"nightporter/internal/claim"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// sighting is what a reader reports to the loop.
type sighting struct {
	kind   sightingKind
	watch  *watch
	addr   *address       // nil for a frame that spoke for no address
	door   *door          // of a knock
	source netip.AddrPort // of a knock
	at     time.Time      // of a knock: the kernel's receive time
	by     machine.MAC    // of a conflict: who else uses the address
}

type sightingKind uint8

const (
	sawFrame    sightingKind = iota // from its MAC, for none of its addresses
	sawTest                         // testing whether it may use an address (RFC 5227, RFC 4862 section 5.4)
	sawUse                          // using an address
	sawAnswer                       // answering our own question for an address
	sawKnock                        //
	sawConflict                     //
	sightingKinds
)

// reader turns the frames of one interface into answers and sightings. It runs
// on the interface's reader goroutine and never blocks.
type reader struct {
	view      atomic.Pointer[view]
	responder claim.Responder
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
	case lan.TCP, lan.UDP, lan.EchoRequest:
		r.knock(v, p)
	default:
		if r.responder.Handle(p, v.holding) == claim.Conflict {
			r.conflict(v, p)
		}
	}
}

// heard takes a frame from a watched machine.
func (r *reader) heard(v *view, w *watch, p *lan.Packet) {
	kind, ip := spokenFor(p)
	a := v.addrs[ip]
	if a == nil || a.watch != w {
		r.report(&w.framed, sighting{kind: sawFrame, watch: w})
		return
	}
	// Not one more answer, whatever the loop is busy with: a machine that
	// tests its address would take the answer for a duplicate.
	for _, mine := range w.addrs {
		mine.answer.Store(false)
	}
	if kind == sawAnswer && p.Dst != r.responder.Self {
		kind = sawUse // it answered somebody else, or announced itself
	}
	r.report(&a.spoken[kind], sighting{kind: kind, watch: w, addr: a})
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
	}
	return sawUse, p.From
}

func (r *reader) knock(v *view, p *lan.Packet) {
	a := v.addrs[p.To]
	if a == nil || a.mac == p.Src {
		return
	}
	d := a.door(p)
	if d == nil || !v.mayWake(a.watch, p.From) {
		return
	}
	r.report(&d.knocked, sighting{
		kind: sawKnock, watch: a.watch, addr: a, door: d,
		source: netip.AddrPortFrom(p.From, p.FromPort), at: p.Time,
	})
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
	case sawTest, sawUse, sawAnswer:
		s.addr.spoken[s.kind].Store(false)
	case sawKnock:
		s.door.knocked.Store(false)
	case sawConflict:
		s.addr.conflict.Store(false)
	}
}
