package porter

import (
	"net/netip"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/readycheck"
)

// accepted takes in that a service has answered a SYN. That may be all that it takes.
func (l *loop) accepted(e *entry, s machine.Service) {
	if e.readiness.Accepted(time.Now(), s) {
		l.ready(e, []machine.Service{s})
		return
	}
	l.checks.Set(e, e.readiness.Next())
}

// check has a service be checked by a connection of our own. Under wake.local our
// kernel has the machine at our MAC: the reader forwards what the check sends.
func (l *loop) check(now time.Time, e *entry, s machine.Service) {
	subject := readycheck.Subject{Machine: e.target.Owner(s.Addr), Service: s, Began: e.readiness.Began()}
	spec := e.Spec()
	source, ok := e.nic.sourceNear(s.Addr)
	if !ok {
		l.log.Debug("no address to check a service from", "event", "check_failed", "machine", e, "service", s)
	}
	t := readycheck.Target{
		Interface: e.nic.name, From: source, To: netip.AddrPortFrom(s.Addr, s.Number), Ready: spec.Settings(s).Ready,
	}
	if !ok || !l.checker.Start(subject, t) {
		e.readiness.Checked(now, subject.Began, s, false)
	}
}

// checked takes in what came of a check.
func (l *loop) checked(r readycheck.Result) {
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

// checkReadiness probes the services whose turn it is.
func (l *loop) checkReadiness(now time.Time, e *entry) {
	due := e.readiness.Due(now, l.awaited.pace(), e.probeClient)
	for _, s := range due.Probe {
		e.probeReadiness(&l.kernel, s)
	}
	for _, s := range due.Check {
		l.check(now, e, s)
	}
	l.ready(e, due.Ready)
}

// proved takes an answer of the machine for one of its addresses. One that something
// else may have sent readies no service.
func (l *loop) proved(e *entry, ip netip.Addr, proof machine.Proof) {
	l.dispatch(e, machine.Answered{Addr: ip, Proof: proof})
	if e.Proves(ip, proof) {
		l.answered(e, ip)
	}
}

// answered takes in that the machine is up at an address.
func (l *loop) answered(e *entry, ip netip.Addr) {
	if e.State() == machine.Arriving {
		l.ready(e, e.readiness.Answered(time.Now(), ip))
	}
}

// ready has the machine know which services can take their clients.
func (l *loop) ready(e *entry, services []machine.Service) {
	if all := e.readiness.Done(); all || len(services) > 0 {
		l.dispatch(e, machine.ServicesReady{Services: services, All: all})
		return
	}
	l.checks.Set(e, e.readiness.Next())
}
