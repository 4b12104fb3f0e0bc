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
