package fastpath

import "nightporter/internal/lan"

// forwardStraggler forwards a packet for a machine that is up, whose client has not learnt
// its MAC, and has the client corrected. If our kernel forwards packets itself, the packet
// is not sent twice.
func (r *Reader) forwardStraggler(a *Address, p *lan.Packet) {
	if a.guarded.Load() || !r.kernelForwards(a) {
		_ = r.forward(p, a.mac)
	}
	r.noteRequester(a, p)
}

// SetKernelForwards sets whether our own kernel forwards packets of each family.
func (r *Reader) SetKernelForwards(four, six bool) {
	r.forwards4.Store(four)
	r.forwards6.Store(six)
}

func (r *Reader) kernelForwards(a *Address) bool {
	if a.ip.Is6() {
		return r.forwards6.Load()
	}
	return r.forwards4.Load()
}

// forwardRequest forwards a unicast request to the machine, if that is up: every client
// accepts the machine's own answer.
func (r *Reader) forwardRequest(v *View, p *lan.Packet) {
	a := v.Address(requestedAddress(p))
	if a == nil || p.Dst != r.responder.Self || a.conceded.Load() || !a.target.hold.Opened() {
		return
	}
	lan.Redirect(p.Frame, r.responder.Self, a.mac)
	_ = r.responder.Send(p.Frame) // the client repeats it
	// An advertisement that answers a unicast solicitation need not state the MAC.
	r.noteRequester(a, p)
}

// noteRequester records the sender of p, which has to be corrected.
func (r *Reader) noteRequester(a *Address, p *lan.Packet) {
	if p.Src == r.responder.Self || p.From.IsUnspecified() {
		return
	}
	a.target.requesters.add(Requester{a.ip, p.Src}, p.From)
	r.report(&a.target.request, Sighting{Kind: SawRequest, Target: a.target})
}
