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
	g, ok := e.hold.ProbeClient(s, e.nic.seesRefusal)
	return g.IP, ok
}

// probeUDP probes a UDP service with the oldest datagram that is held for it: some programs
// take an empty datagram of ours for the end of a connection. Meanwhile the client is
// diverted, so the machine's packets to it come here: a "port unreachable" would be an
// error for the client's connected socket.
//
// A client behind a router is not diverted, and its datagram is used only if no other is
// held: the machine sends to the router's MAC, so its "port unreachable" is not seen.
func (e *entry) probeUDP(k *kernel, s machine.Service) {
	g, ok := e.hold.ProbeClient(s, e.nic.seesRefusal)
	if !ok {
		return
	}
	if e.nic.divertible(g) && e.hold.CanDivert(g) {
		e.divert(k, g)
		e.nic.sendClientMAC(e.target.Owner(g.MachineIP), g, e.nic.MAC())
	}
	e.hold.SendProbe(s, g, e.replay)
}

// divert makes the reader forward what the machine sends to a client at our MAC. If our
// kernel forwards packets and the guard does not stop it, the kernel forwards them.
func (e *entry) divert(k *kernel, g handover.Client) {
	if !lan.Forwards(e.nic.name, g.IP) {
		e.hold.Divert(g, false)
		return
	}
	e.hold.Divert(g, true, k.divertFlows(e, g.IP)...)
}

// seesRefusal reports whether a machine's packets to a client can come here.
func (n *nic) seesRefusal(g handover.Client) bool { return g.MAC == n.MAC() || n.divertible(g) }

// divertible reports whether the machine's neighbor entry of a client may point to our MAC.
// That of a gateway may not, because it is the way to other hosts too, and packets to our
// own host come here anyway.
func (n *nic) divertible(g handover.Client) bool {
	network := n.network.Load()
	return g.MAC != n.MAC() && network.Contains(g.IP) && !network.Own(g.IP) && !slices.Contains(network.Gateways, g.IP)
}

// sendClientMAC sends a machine a neighbor entry for a client, with the MAC owner.
func (n *nic) sendClientMAC(mac ether.MAC, g handover.Client, owner ether.MAC) {
	frame, err := lan.Correction(n.MAC(), mac, owner, g.IP, g.MachineIP)
	if err != nil {
		n.log.Warn("cannot send a machine its client's MAC", "event", "divert_failed", "ip", g.IP, "err", err)
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
	for _, g := range e.hold.Undivert() {
		if e.nic == nil {
			continue
		}
		e.nic.sendClientMAC(e.target.Owner(g.MachineIP), g, g.MAC)
		if e.hold.HasClient(g.MachineIP, g.MAC) {
			pinner{e}.pin()
			e.pinState.repeat = true // once more, after the machine's answer
		}
	}
}
