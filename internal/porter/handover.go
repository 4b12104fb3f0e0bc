package porter

import (
	"log/slog"
	"net/netip"
	"time"

	"nightporter/internal/handover"
	"nightporter/internal/machine"
)

// setHold changes how packets for a machine are treated.
func (e *entry) setHold(k *kernel, mode machine.HoldMode) {
	switch mode {
	case machine.HoldAll:
		e.forgetProbes(k)
		e.hold.HoldAll()
	case machine.HoldUnready:
		e.refusedAt = time.Time{}
		e.hold.HoldUnready()
		return // Readiness goes on
	case machine.AdmitAll:
		e.admitAll(k)
	case machine.Ignore:
		e.forgetProbes(k)
		e.hold.Close()
	}
	e.readiness.Reset()
}

// admitClients replays the held packets of services. Their clients get the machine's MAC
// first, so that the client's next packet goes to the machine.
func (e *entry) admitClients(k *kernel, services []machine.Service) {
	for _, s := range services {
		e.unpin(k, e.hold.ClientsOnlyOf(s))
		e.logReplay(k.log, s.String(), e.hold.Admit(s, e.replay))
	}
	e.undivert()
}

// admitAll replays all held packets.
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

// unpin points clients to the machine's own MAC.
func (e *entry) unpin(k *kernel, clients []handover.Client) {
	for _, client := range clients {
		if client.MAC == e.nic.MAC() {
			k.setNeighbor(e.nic, []netip.Addr{client.MachineIP}, e.target.Owner(client.MachineIP))
			continue
		}
		e.nic.sendOwner(client, e.target.Owner(client.MachineIP))
	}
}
