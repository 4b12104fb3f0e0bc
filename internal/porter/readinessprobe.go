package porter

import (
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// probeReadiness probes whether a service listens.
func (e *entry) probeReadiness(k *kernel, s machine.Service) {
	if s.Protocol == machine.UDP {
		e.probeUDP(k, s)
		return
	}
	e.nic.probeService(e.target.Owner(s.Addr), s)
}

// probeClient returns the address of the client whose datagram would probe a service.
func (e *entry) probeClient(s machine.Service) (netip.Addr, bool) {
	client, ok := e.hold.ProbeClient(s, e.nic.seesRefusal)
	return client.IP, ok
}

// probeUDP probes a UDP service with the oldest datagram that is held for it: some programs
// take an empty datagram of ours for the end of a connection. Meanwhile the client is
// diverted, so the machine's packets to it come here: a "port unreachable" would be an
// error for the client's connected socket.
//
// A client behind a router is not diverted, and its datagram is used only if no other is
// held: the machine sends to the router's MAC, so its "port unreachable" is not seen.
func (e *entry) probeUDP(k *kernel, s machine.Service) {
	client, ok := e.hold.ProbeClient(s, e.nic.seesRefusal)
	if !ok {
		return
	}
	if e.nic.divertible(client) && e.hold.CanDivert(client) {
		e.divert(k, client)
		e.nic.sendClientMAC(e.target.Owner(client.MachineIP), client, e.nic.MAC())
	}
	e.hold.SendProbe(s, client, e.replay)
}

// divert makes the reader forward what the machine sends to a client at our MAC. If our
// kernel forwards packets and the guard does not stop it, the kernel forwards them.
func (e *entry) divert(k *kernel, client handover.Client) {
	if !lan.Forwards(e.nic.name, client.IP) {
		e.hold.Divert(client, false)
		return
	}
	e.hold.Divert(client, true, k.divertFlows(e, client.IP)...)
}

// seesRefusal reports whether a machine's packets to a client can come here.
func (n *nic) seesRefusal(client handover.Client) bool {
	return client.MAC == n.MAC() || n.divertible(client)
}

// divertible reports whether the machine's neighbor entry of a client may point to our MAC.
// That of a gateway may not, because it is the way to other hosts too, and packets to our
// own host come here anyway.
func (n *nic) divertible(client handover.Client) bool {
	network := n.network.Load()
	return client.MAC != n.MAC() && network.Contains(client.IP) && !network.Own(client.IP) && !slices.Contains(network.Gateways, client.IP)
}

// sendClientMAC sends a machine a neighbor entry for a client, with the MAC owner.
func (n *nic) sendClientMAC(mac ether.MAC, client handover.Client, owner ether.MAC) {
	frame, err := lan.Correction(n.MAC(), mac, owner, client.IP, client.MachineIP)
	if err != nil {
		n.log.Warn("cannot send a machine its client's MAC", "event", "divert_failed", "ip", client.IP, "err", err)
		return
	}
	n.send(frame)
}

// endProbes ends all probes by datagrams without a result.
func (e *entry) endProbes() {
	e.hold.EndProbes()
	e.undivert()
}

// forgetProbes ends them and all diversions: the machine sends no more packets to the
// clients, or sends them directly.
func (e *entry) forgetProbes(k *kernel) {
	e.endProbes()
	addrs := e.Guarded() // the flows of other addresses end with their claims
	k.later(func() { k.undivertFlows(e, addrs) })
}

// undivert sends the machine the true MAC of clients whose datagrams no longer probe. The
// machine may answer to the client, which is pinned again if other packets of it are held.
func (e *entry) undivert() {
	for _, client := range e.hold.Undivert() {
		if e.nic == nil {
			continue
		}
		e.nic.sendClientMAC(e.target.Owner(client.MachineIP), client, client.MAC)
		if e.hold.HasClient(client.MachineIP, client.MAC) {
			pinner{e}.pin()
			e.pinState.repeat = true // once more, after the machine's answer
		}
	}
}
