package porter

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// setHold changes what is done with packets for a machine.
func (e *entry) setHold(k *kernel, mode machine.HoldMode) {
	switch mode {
	case machine.HoldAll:
		e.forgetProbes(k)
		e.hold.HoldAll()
	case machine.HoldUnready:
		e.refusedAt = time.Time{}
		e.hold.HoldUnready()
		return // the readiness of its services is found out from now on
	case machine.AdmitAll:
		e.admitAll(k)
	case machine.Ignore:
		e.forgetProbes(k)
		e.hold.Close()
	}
	e.readiness.Reset()
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

// admitClients sends on what is held for services. Where the machine's addresses
// are is announced before the first packet reaches it, so that its client's next
// one does too.
func (e *entry) admitClients(k *kernel, services []machine.Service) {
	for _, s := range services {
		e.unpin(k, e.hold.ClientsOnlyOf(s))
		e.logReplay(k.log, s.String(), e.hold.Admit(s, e.replay))
	}
	e.undivert()
}

// admitAll sends on all that is held.
func (e *entry) admitAll(k *kernel) {
	if e.nic != nil {
		e.endProbes()
		e.unpin(k, e.hold.Clients())
	}
	e.logReplay(k.log, "all", e.hold.Open(e.replay))
}

func (e *entry) logReplay(log *slog.Logger, service string, packets int) {
	if packets > 0 {
		log.Debug("held packets replayed", "event", "replayed", "machine", e, "service", service, "packets", packets)
	}
}

// replay sends a held packet to its machine. sum is what the kernel said of its
// checksum when it came.
func (e *entry) replay(frame []byte, sum lan.Checksum) error {
	p := lan.Packet{Sum: sum}
	if v := p.Parse(frame); v != lan.Accepted {
		return fmt.Errorf("a held frame is %v", v)
	}
	return e.nic.reader.Forward(&p, e.target.Owner(p.To))
}

// unpin sends clients to the machine.
func (e *entry) unpin(k *kernel, guests []handover.Client) {
	for _, g := range guests {
		if g.MAC == e.nic.MAC() {
			k.setNeighbor(e.nic, []netip.Addr{g.MachineIP}, e.target.Owner(g.MachineIP))
			continue
		}
		e.nic.sendOwner(g, e.target.Owner(g.MachineIP))
	}
}
