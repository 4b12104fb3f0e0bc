package porter

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// servicesProbed is how many TCP services one question probes at most. Where there
// are more, the next question goes on with the rest.
const servicesProbed = 4

// probe asks a machine for addresses. That it cannot be asked says nothing about
// the machine, so it must not count as silence.
func (l *loop) probe(e *entry, p machine.Probe) {
	asked, failed := false, errors.New("no interface of this host reaches it")
	if e.nic != nil {
		if failed = e.nic.unavailable(); failed == nil {
			asked, failed = e.send(p)
		}
	}
	if failed != nil && !e.probeFailing {
		l.log.Warn("cannot probe", "event", "probe_failed", "machine", e, "err", failed)
	}
	e.probeFailing = failed != nil
	if asked && p.System {
		asked = e.probeSystem(l.log, p.Addrs)
	}
	if !asked {
		l.dispatch(e, machine.ProbeFailed{})
	}
}

// send asks a question for each address, and reports whether anything that was
// sent may be answered.
func (e *entry) send(p machine.Probe) (asked bool, failed error) {
	spec := e.Spec()
	for _, ip := range p.Addrs {
		err := e.nic.probe(spec.Owner(ip), ip)
		if err == nil && p.Broadcast {
			err = e.nic.probe(ether.Broadcast, ip)
		}
		asked = asked || err == nil
		failed = errors.Join(failed, err)
	}
	if p.Broadcast && asked { // its silence would be believed
		if err := e.nic.carrier(); err != nil {
			return false, err
		}
	}
	return asked, failed
}

// probeSystem asks a machine for what only an operating system answers: an echo
// reply for each address, and TCP from its services there. Management firmware
// answers the former too.
func (e *entry) probeSystem(log *slog.Logger, addrs []netip.Addr) (asked bool) {
	var failed error
	for _, ip := range addrs {
		err := e.nic.ping(e.target.Owner(ip), ip)
		asked = asked || err == nil
		failed = errors.Join(failed, err)
	}
	services := slices.DeleteFunc(e.target.Services(), func(s machine.Service) bool {
		return s.Protocol != machine.TCP || !slices.Contains(addrs, s.Addr)
	})
	for range min(len(services), servicesProbed) {
		e.lastProbed = (e.lastProbed + 1) % len(services)
		s := services[e.lastProbed]
		e.nic.probeService(e.target.Owner(s.Addr), s)
	}
	if failed != nil {
		log.Debug("cannot probe a machine's operating system", "event", "probe_failed", "machine", e, "err", failed)
	}
	return asked
}

// recheck asks all hosts on the LAN for an address.
func (l *loop) recheck(e *entry, ip netip.Addr) {
	if by, used := l.machines.userOf(e, ip); used {
		l.dispatch(e, machine.Conflicted{Addr: ip, By: by})
		return
	}
	err := errors.New("no interface of this host reaches it")
	if e.nic != nil {
		if err = e.nic.probe(ether.Broadcast, ip); err == nil {
			err = e.nic.carrier()
		}
	}
	if err != nil {
		l.log.Debug("cannot recheck an address", "event", "recheck_failed", "machine", e, "ip", ip, "err", err)
		l.dispatch(e, machine.RecheckFailed{Addr: ip})
	}
}
