package porter

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// servicesProbed is how many TCP services one round probes at most. The next round continues
// with the rest.
const servicesProbed = 4

// probe probes addresses of a machine. A probe that cannot be sent proves nothing about the
// machine, so it must not count as silence.
func (l *loop) probe(e *entry, p machine.Probe) {
	sent, failed := false, errors.New("no interface of this host reaches it")
	if e.nic != nil {
		if failed = e.nic.unavailable(); failed == nil {
			sent, failed = e.send(p)
		}
	}
	if failed != nil && !e.probeFailing {
		l.log.Warn("cannot probe", "event", "probe_failed", "machine", e, "err", failed)
	}
	e.probeFailing = failed != nil
	if sent && p.System {
		sent = e.probeSystem(l.log, p.Addrs)
	}
	if !sent {
		l.dispatch(e, machine.ProbeFailed{})
	}
}

// send sends a probe for each address, and reports whether the machine may answer one.
func (e *entry) send(p machine.Probe) (sent bool, failed error) {
	spec := e.Spec()
	for _, ip := range p.Addrs {
		err := e.nic.probe(spec.Owner(ip), ip)
		if err == nil && p.Broadcast {
			err = e.nic.probe(ether.Broadcast, ip)
		}
		sent = sent || err == nil
		failed = errors.Join(failed, err)
	}
	if p.Broadcast && sent { // its silence would count
		if err := e.nic.carrier(); err != nil {
			return false, err
		}
	}
	return sent, failed
}

// probeSystem sends probes that an operating system answers: an echo request to each
// address, and a SYN to TCP services there. Management firmware may answer echo requests
// too.
func (e *entry) probeSystem(log *slog.Logger, addrs []netip.Addr) (sent bool) {
	var failed error
	for _, ip := range addrs {
		err := e.nic.ping(e.target.Owner(ip), ip)
		sent = sent || err == nil
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
	return sent
}

// recheck broadcasts a request for a conceded address.
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
