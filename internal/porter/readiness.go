package porter

import (
	"net/netip"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/readycheck"
)

// readinessLoop is the part of the loop that finds out which services are ready.
type readinessLoop struct{ *loop }

// accepted records that a service has answered a SYN. Without a ready check in the
// configuration the service is ready by that.
func (l readinessLoop) accepted(e *entry, s machine.Service) {
	if e.readiness.Accepted(time.Now(), s) {
		l.ready(e, []machine.Service{s})
		return
	}
	l.checks.Set(e, e.readiness.Next())
}

// check starts a readiness check of a service, with a TCP connection of our own. Under
// wake.local our kernel's neighbor entry has the machine at our MAC, and the reader
// forwards the packets of the check.
func (l readinessLoop) check(now time.Time, e *entry, s machine.Service) {
	subject := readycheck.Subject{Machine: e.target.Owner(s.Addr), Service: s, Began: e.readiness.Began()}
	spec := e.Spec()
	source, ok := e.nic.sourceNear(s.Addr)
	if !ok {
		l.log.Debug("no source address to check a service", "event", "check_failed", "machine", e, "service", s)
	}
	t := readycheck.Target{
		Interface: e.nic.name, From: source, To: netip.AddrPortFrom(s.Addr, s.Number), Ready: spec.Settings(s).Ready,
	}
	if !ok || !l.checker.Start(subject, t) {
		e.readiness.Checked(now, subject.Began, s, false)
	}
}

// checked records the result of a readiness check.
func (l readinessLoop) checked(r readycheck.Result) {
	l.checker.Done(r)
	e := l.machines.byMAC[r.Machine]
	if e == nil || e.State() != machine.Arriving {
		return
	}
	if r.Err != nil {
		l.log.Debug("service is not ready", "event", "not_ready", "machine", e, "service", r.Service, "err", r.Err)
	}
	if e.readiness.Checked(time.Now(), r.Began, r.Service, r.Err == nil) {
		l.ready(e, []machine.Service{r.Service})
		return
	}
	l.checks.Set(e, e.readiness.Next())
}

// checkReadiness probes the services that are due.
func (l readinessLoop) checkReadiness(now time.Time, e *entry) {
	if e.readiness.Accepts(now) && (len(l.sightings) > 0 || e.nic.unread()) {
		e.readiness.Unread(now)
	}
	due := e.readiness.Due(now, l.awaited.pace(), e.probeClient)
	for _, s := range due.Probe {
		e.probeReadiness(&l.kernel, s)
	}
	for _, s := range due.Check {
		l.check(now, e, s)
	}
	l.ready(e, due.Ready)
}

// proved records an answer from one of the machine's addresses. An answer that the network
// card or firmware may have sent makes no service ready.
func (l readinessLoop) proved(e *entry, ip netip.Addr, proof machine.Proof) {
	l.dispatch(e, machine.Answered{Addr: ip, Proof: proof})
	if e.Proves(ip, proof) {
		l.answered(e, ip)
	}
}

// answered records that the machine is up at an address.
func (l readinessLoop) answered(e *entry, ip netip.Addr) {
	if e.State() == machine.Arriving {
		l.ready(e, e.readiness.Answered(time.Now(), ip))
	}
}

// ready passes to the machine which services accept their clients.
func (l readinessLoop) ready(e *entry, services []machine.Service) {
	if all := e.readiness.Done(); all || len(services) > 0 {
		l.dispatch(e, machine.ServicesReady{Services: services, All: all})
		return
	}
	l.checks.Set(e, e.readiness.Next())
}
