package fastpath

import "nightporter/internal/lan"

// straggle takes a packet for a machine that is up: its client has missed that, some
// seconds or some hours ago. It is sent on, and the client is told where the machine
// is. Where our kernel forwards packets itself, it is not sent twice.
func (r *Reader) forwardStraggler(a *Address, p *lan.Packet) {
	if a.guarded.Load() || !r.kernelForwards(a) {
		_ = r.forward(p, a.mac)
	}
	r.noteRequester(a, p)
}

// SetKernelForwards says whether our own kernel forwards packets of the families.
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

// passOn sends a question that came to us alone on to the machine, if that is up: its
// answer is one that every client takes.
func (r *Reader) forwardRequest(v *View, p *lan.Packet) {
	a := v.Address(requestedAddress(p))
	if a == nil || p.Dst != r.responder.Self || a.conceded.Load() || !a.target.hold.Opened() {
		return
	}
	lan.Redirect(p.Frame, r.responder.Self, a.mac)
	_ = r.responder.Send(p.Frame) // the client asks again
	// An advertisement that answers a unicast solicitation need not say at which MAC.
	r.noteRequester(a, p)
}

// noteRequester takes the sender of p, which is to be told again where a is.
func (r *Reader) noteRequester(a *Address, p *lan.Packet) {
	if p.Src == r.responder.Self || p.From.IsUnspecified() {
		return
	}
	a.target.requesters.add(Requester{a.ip, p.Src}, p.From)
	r.report(&a.target.request, Sighting{Kind: SawRequest, Target: a.target})
}
