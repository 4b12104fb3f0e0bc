package fastpath

import (
	"net/netip"
	"time"

	"nightporter/internal/fair"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// visit takes a packet that came to our MAC for the address of a machine.
func (r *Reader) visit(v *View, a *Address, p *lan.Packet) {
	if a.target.hold.Opened() {
		r.straggle(a, p)
		return
	}
	r.visited(a.target)
	if r.checks(a, p) {
		return
	}
	s := a.knockedAt(p, v.rules.Established)
	knocks := s != nil && v.mayWake(a.target, s, p.From) && (v.rules.Filter == nil || !r.suppressed(v.rules.Filter, a, s, p))
	var service machine.Service
	var now time.Time
	if knocks {
		now = time.Now()
		service = s.ID
		r.report(&s.knock, Sighting{
			Kind: SawKnock, Target: a.target, Address: a, Service: s,
			Source: netip.AddrPortFrom(p.From, p.FromPort), At: p.Time,
		})
	}
	if a.target.hold.Take(now, p, knocks, service) == handover.Forward {
		// The client repeats what was not sent, and that is forwarded again.
		_ = r.forward(p, a.mac)
	}
}

// suppressed judges a knock by the rules. The reader does it and not the loop: of
// many knocks at once the loop hears of one, so that the others would be missing
// in the count, and it hears of it when the packet may be held already.
//
// The time is that of the monotonic clock, where p has the kernel's, which can
// be set.
func (r *Reader) suppressed(rules *fair.Rules, a *Address, s *Service, p *lan.Packet) bool {
	knock := fair.Knock{At: time.Now(), From: p.From, Opens: p.Kind == lan.TCP && p.SYN()}
	reason, suppressed := a.target.judge.Suppress(rules, knock)
	if suppressed {
		r.report(&a.target.suppressed[reason], Sighting{
			Kind: SawSuppressed, Reason: reason, Target: a.target, Address: a, Service: s,
			Source: netip.AddrPortFrom(p.From, p.FromPort),
		})
	}
	return suppressed
}

// knockedAt returns the service that p knocks at, or nil. A knock is a SYN, any
// datagram, an echo request, or data on a connection where that counts.
func (a *Address) knockedAt(p *lan.Packet, established bool) *Service {
	var want machine.Port
	switch p.Kind {
	case lan.TCP:
		if !p.SYN() && !p.Data() {
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
	s := a.service(want)
	if s == nil || p.Kind != lan.TCP || p.SYN() {
		return s
	}
	if s.established != nil {
		established = *s.established
	}
	if !established {
		return nil
	}
	return s
}
