package fastpath

import (
	"net/netip"
	"time"

	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/wakefilter"
)

// handleTraffic handles a packet to our MAC for the address of a machine.
func (r *Reader) handleTraffic(v *View, a *Address, p *lan.Packet) {
	if a.target.hold.Opened() {
		r.forwardStraggler(a, p)
		return
	}
	r.reportTraffic(a.target)
	if r.forwardCheck(a, p) {
		return
	}
	s := a.knockedService(p, v.rules.Established)
	knocks := r.wakes(v, a, s, p)
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
		// After an error the client retransmits, and that is forwarded again.
		_ = r.forward(p, a.mac)
	}
}

// wakes reports whether p wakes the machine. s is the service at which it knocks, or nil. A
// packet that does not wake is counted with its reason. The reader decides and not the
// loop: of many packets at once only one is reported to the loop, and after that packet
// may be held already.
//
// A knock is judged by the monotonic clock, because the kernel's time in p is that of the
// wall clock, which can be set.
func (r *Reader) wakes(v *View, a *Address, s *Service, p *lan.Packet) bool {
	switch {
	case s == nil:
		if reason, port, ok := ignoreReason(p); ok {
			r.ignore(a, reason, port, p)
		}
		return false
	case !v.mayWake(a.target, s, p.From):
		r.ignore(a, machine.SourceNotAllowed, s.ID.Port, p)
		return false
	case v.rules.Filter == nil:
		return true
	}
	knock := wakefilter.Knock{At: time.Now(), From: p.From, Opens: p.Kind == lan.TCP && p.SYN()}
	reason, suppressed := a.target.filter.Check(v.rules.Filter, knock)
	if suppressed {
		r.ignore(a, reason, s.ID.Port, p)
	}
	return !suppressed
}

// ignoreReason returns why a packet knocks at no service, and its port. Replies and packets
// without a port are not counted: no client waits for them.
func ignoreReason(p *lan.Packet) (machine.Suppression, machine.Port, bool) {
	switch p.Kind {
	case lan.TCP:
		port := machine.Port{Protocol: machine.TCP, Number: p.ToPort}
		if !p.SYN() {
			return machine.OldConnection, port, true
		}
		return machine.PortNotRegistered, port, true
	case lan.UDP:
		return machine.PortNotRegistered, machine.Port{Protocol: machine.UDP, Number: p.ToPort}, true
	case lan.EchoRequest:
		return machine.PingNotRegistered, machine.Port{Protocol: machine.ICMP}, true
	}
	return 0, machine.Port{}, false
}

// ignore counts p as a packet that does not wake the machine, and reports it to the loop if
// an event is due. The kernel's time is exact enough, and in a flood reading the clock
// would cost more than everything else here.
func (r *Reader) ignore(a *Address, reason machine.Suppression, port machine.Port, p *lan.Packet) {
	t, at := a.target, p.Time
	if at.IsZero() {
		at = time.Now()
	}
	seen := machine.Ignored{Reason: reason, Service: machine.Service{Addr: a.ip, Port: port}, Source: netip.AddrPortFrom(p.From, p.FromPort)}
	if t.filter.CountIgnored(seen, at) {
		r.report(&t.ignored, Sighting{Kind: SawSuppressed, Target: t})
	}
}

// knockedService returns the service at which p knocks, or nil. A knock is a SYN, any
// datagram, an echo request, or data on a connection if wake.established is set.
func (a *Address) knockedService(p *lan.Packet, established bool) *Service {
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
