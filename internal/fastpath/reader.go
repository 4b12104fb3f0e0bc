package fastpath

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"

	"golang.org/x/time/rate"

	"nightporter/internal/claim"
	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// Options are what a Reader needs. The readers call the functions, several at a
// time, so these must not block.
type Options struct {
	Send      func(frame []byte) error                // puts a frame on the wire
	Forward   func(p *lan.Packet, to ether.MAC) error // sends a packet on to its machine
	Replied   func(lan.Kind)                          // called for every answer sent
	Sightings chan<- Sighting                         // to the event loop
}

// Reader turns the frames of one interface into answers and sightings. All its
// methods but SetSelf may be called by several goroutines at a time.
type Reader struct {
	view      atomic.Pointer[View]
	responder claim.Responder
	forward   func(p *lan.Packet, to ether.MAC) error
	sequence  uint32
	resolver  resolver
	sightings chan<- Sighting
	skipped   atomic.Uint64
	hosts     hosts
	refusals  refusals
	forwards4 atomic.Bool // our own kernel forwards packets of the family
	forwards6 atomic.Bool

	surroundings atomic.Pointer[Surroundings]
}

// New returns a reader with an empty view. SetSelf has to follow before the first
// frame.
func New(o Options) *Reader {
	r := &Reader{
		responder: claim.Responder{Send: o.Send, Replied: o.Replied},
		forward:   o.Forward, sequence: rand.Uint32(), sightings: o.Sightings,
		hosts: hosts{newHosts: rate.NewLimiter(newHostRate, newHostBurst), recent: make(map[hostKey]heardHost), older: make(map[hostKey]heardHost)},
	}
	r.SetView(NewView(Rules{}))
	r.SetSurroundings(Surroundings{})
	return r
}

// SetSelf says which MAC address is the interface's own. No reader may run
// meanwhile: the responder reads it without a lock.
func (r *Reader) SetSelf(mac ether.MAC) { r.responder.Self = mac }

// SetView has the frames that follow be handled by v, which must not change any
// more.
func (r *Reader) SetView(v *View) { r.view.Store(v) }

// View returns the view that was set last.
func (r *Reader) View() *View { return r.view.Load() }

// Lost returns how many sightings were dropped because the event loop was too far
// behind to take them.
func (r *Reader) Lost() uint64 { return r.skipped.Load() }

// Sequence returns the initial sequence number of the SYNs that probe services.
// The reader knows the SYN-ACKs to them by it.
func (r *Reader) Sequence() uint32 { return r.sequence }

// Forward sends a packet on to its machine, as the reader itself does.
func (r *Reader) Forward(p *lan.Packet, to ether.MAC) error { return r.forward(p, to) }

// Resolve asks the LAN who has ip, by calling send up to three times, and returns
// every MAC address that answered. No answer is no error.
func (r *Reader) Resolve(ctx context.Context, ip netip.Addr, send func() error) ([]ether.MAC, error) {
	return r.resolver.resolve(ctx, ip, send)
}

// Handle takes one frame that came in on the interface.
func (r *Reader) Handle(p *lan.Packet) {
	v := r.view.Load()
	switch p.Kind {
	case lan.ARPReply, lan.NeighborAdvertisement:
		r.resolver.answered(p)
	}
	// A watched machine can be the client of another one. (The maps are indexed
	// by what is in the packet: a copy of the key would double the time.)
	t, watched := v.targets[p.Src]
	if watched {
		r.handleFrame(v, t, p)
		if r.relay(t, p) {
			return
		}
	}
	switch p.Kind {
	case lan.TCP, lan.UDP, lan.EchoRequest, lan.EchoReply, lan.PortUnreachable, lan.IP:
		if a := r.destination(v, p); a != nil && !r.refuses(v, a, p) {
			r.handleTraffic(v, a, p)
		}
	default:
		r.handleNeighbor(v, p)
		if !watched || t.isCardOnly(p.Src) { // a hypervisor may speak with the card of a machine
			r.noteHost(v, p)
		}
	}
}

// HandleOutgoing takes one frame that our own host sends. Only packets that the
// host's neighbour entry leads to our own MAC go nowhere, and are looked at. The
// others are on their way. Our own kernel made them, so that none has to be refused.
func (r *Reader) HandleOutgoing(p *lan.Packet) {
	v := r.view.Load()
	if a := r.destination(v, p); a != nil {
		r.handleTraffic(v, a, p)
	}
}

// neighbor takes ARP and neighbour discovery.
func (r *Reader) handleNeighbor(v *View, p *lan.Packet) {
	if r.handleContest(v, p) {
		return
	}
	switch r.responder.Handle(p, v.holding) {
	case claim.Conflict:
		r.reportConflict(v, p)
	case claim.Answered:
		if a := v.Address(requestedAddress(p)); a != nil {
			// A machine that arrives may have answered as well, and last.
			if p.Dst != r.responder.Self && (a.cardAnswers() || a.target.hold.HoldsUnready()) {
				r.noteRequester(a, p)
			}
			r.reportTraffic(a.target)
		}
	case claim.Quiet:
		r.forwardRequest(v, p)
	}
}

// requested returns the address that p asks for.
func requestedAddress(p *lan.Packet) netip.Addr {
	if p.Kind == lan.NeighborSolicitation {
		return p.Target
	}
	return p.To
}

// visited takes traffic for a machine, which is worth a sighting only while it may be
// up after all.
func (r *Reader) reportTraffic(t *Target) {
	if t.doubtful.Load() {
		r.report(&t.traffic, Sighting{Kind: SawTraffic, Target: t})
	}
}

// contested takes another host's test of an address that is not defended, or that its
// machine defends itself, and reports whether p is one. Behind a repeater the machine's
// own test is known by the address that it names.
func (r *Reader) handleContest(v *View, p *lan.Packet) bool {
	if kind, _ := senderAddress(p); kind != SawTest {
		return false
	}
	a, by := v.addrs[requestedAddress(p)], claim.Stated(p)
	if a == nil || a.hasMAC(by) || a.hasMAC(p.Src) || p.Src == r.responder.Self {
		return false
	}
	if !a.target.undefended.Load() {
		return !a.answering.Load()
	}
	r.report(&a.contest, Sighting{Kind: SawContest, Target: a.target, Address: a, By: by})
	return true
}

// conflict takes a frame by which another host uses an address of a machine.
func (r *Reader) reportConflict(v *View, p *lan.Packet) {
	ip := p.From
	if p.Kind == lan.NeighborAdvertisement {
		ip = p.Target
	}
	if a := v.Address(ip); a != nil && !a.hasMAC(claim.Stated(p)) {
		r.report(&a.conflict, Sighting{Kind: SawConflict, Target: a.target, Address: a, By: claim.Stated(p)})
	}
}
