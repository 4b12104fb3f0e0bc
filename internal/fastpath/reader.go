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

// Options are the functions and the channel of a Reader. Several goroutines call the
// functions at a time. They must not block.
type Options struct {
	Send      func(frame []byte) error                // puts a frame on the wire
	Forward   func(p *lan.Packet, to ether.MAC) error // sends a packet on to its machine
	Replied   func(lan.Kind)                          // called for every answer sent
	Sightings chan<- Sighting                         // to the event loop
}

// Reader turns the frames of one interface into answers and sightings. All its methods
// except SetSelf are safe for concurrent use.
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

// New returns a reader with an empty view. SetSelf must be called before the first frame.
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

// SetSelf sets the interface's own MAC address. No reader may run meanwhile: the responder
// reads it without a lock.
func (r *Reader) SetSelf(mac ether.MAC) { r.responder.Self = mac }

// SetView sets the view for later frames. v must not change any more.
func (r *Reader) SetView(v *View) { r.view.Store(v) }

// View returns the view that was set last.
func (r *Reader) View() *View { return r.view.Load() }

// Lost returns how many sightings were dropped because the event queue was full.
func (r *Reader) Lost() uint64 { return r.skipped.Load() }

// Sequence returns the initial sequence number of the SYNs that probe services. The reader
// recognizes the SYN-ACKs by it.
func (r *Reader) Sequence() uint32 { return r.sequence }

// Forward sends a packet on to its machine, as the reader itself does.
func (r *Reader) Forward(p *lan.Packet, to ether.MAC) error { return r.forward(p, to) }

// Resolve resolves ip by calling send, which has to broadcast a request, up to three times.
// It returns every MAC address that answered. No answer is no error.
func (r *Reader) Resolve(ctx context.Context, ip netip.Addr, send func() error) ([]ether.MAC, error) {
	return r.resolver.resolve(ctx, ip, send)
}

// Handle handles one frame that was received on the interface.
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
		if !watched || t.isCardOnly(p.Src) { // a hypervisor may use the network card of a machine
			r.noteHost(v, p)
		}
	}
}

// HandleOutgoing handles one frame that our own host sends. Only packets to our own MAC are
// handled, to which the host's neighbor entries lead under wake.local. Our own kernel made
// them, so none has to be refused.
func (r *Reader) HandleOutgoing(p *lan.Packet) {
	v := r.view.Load()
	if a := r.destination(v, p); a != nil {
		r.handleTraffic(v, a, p)
	}
}

// handleNeighbor handles ARP and neighbor discovery.
func (r *Reader) handleNeighbor(v *View, p *lan.Packet) {
	if r.handleContest(v, p) {
		return
	}
	switch r.responder.Handle(p, v.holding) {
	case claim.Conflict:
		r.reportConflict(v, p)
	case claim.Answered:
		if a := v.Address(requestedAddress(p)); a != nil {
			// An arriving machine may have answered too, and later.
			if p.Dst != r.responder.Self && (a.cardAnswers() || a.target.hold.HoldsUnready()) {
				r.noteRequester(a, p)
			}
			r.reportTraffic(a.target)
		}
	case claim.Quiet:
		r.forwardRequest(v, p)
	}
}

// requestedAddress returns the address that p requests.
func requestedAddress(p *lan.Packet) netip.Addr {
	if p.Kind == lan.NeighborSolicitation {
		return p.Target
	}
	return p.To
}

// reportTraffic reports traffic for a machine while the machine may be up after all.
func (r *Reader) reportTraffic(t *Target) {
	if t.doubtful.Load() {
		r.report(&t.traffic, Sighting{Kind: SawTraffic, Target: t})
	}
}

// handleContest handles another host's test of an address that is not defended, or that its
// machine defends itself, and reports whether p is one. Behind a repeater the machine's own
// test is recognized by the MAC that it states.
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

// reportConflict reports a frame by which another host uses an address of a machine.
func (r *Reader) reportConflict(v *View, p *lan.Packet) {
	ip := p.From
	if p.Kind == lan.NeighborAdvertisement {
		ip = p.Target
	}
	if a := v.Address(ip); a != nil && !a.hasMAC(claim.Stated(p)) {
		r.report(&a.conflict, Sighting{Kind: SawConflict, Target: a.target, Address: a, By: claim.Stated(p)})
	}
}
