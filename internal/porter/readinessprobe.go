package porter

import (
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// probeReadiness asks a service whether it is there.
func (e *entry) probeReadiness(k *kernel, s machine.Service) {
	if s.Protocol == machine.UDP {
		e.probeUDP(k, s)
		return
	}
	e.nic.probeService(e.target.Owner(s.Addr), s)
}

// asker returns the client whose datagram a service would be asked with.
func (e *entry) probeClient(s machine.Service) (netip.Addr, bool) {
	g, ok := e.hold.ProbeClient(s, e.nic.seesRefusal)
	return g.IP, ok
}

// askByDatagram asks a UDP service with the datagram that has waited longest for it:
// one of our own, without content, is the end of a connection to some programs. What
// the machine sends the client comes here meanwhile: a connected socket would take a
// refusal for an error.
//
// A client behind a router is asked for without that, and only if no other waits: the
// machine's way to it is the router's, so that its refusal is not heard.
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

// divert has the reader send on what the machine sends to a client at our MAC. Where our
// kernel forwards, and the guard does not keep it from that, that is left to the kernel.
func (e *entry) divert(k *kernel, g handover.Client) {
	if !lan.Forwards(e.nic.name, g.IP) {
		e.hold.Divert(g, false)
		return
	}
	e.hold.Divert(g, true, k.divertFlows(e, g.IP)...)
}

// hearsRefusal reports whether what a machine sends to a client can come here.
func (n *nic) seesRefusal(g handover.Client) bool { return g.MAC == n.MAC() || n.divertible(g) }

// divertible reports whether a machine can be told that a client is at our MAC. A
// gateway is the way to others as well, and our own host's packets come here anyway.
func (n *nic) divertible(g handover.Client) bool {
	network := n.network.Load()
	return g.MAC != n.MAC() && network.Contains(g.IP) && !network.Own(g.IP) && !slices.Contains(network.Gateways, g.IP)
}

// placeClient tells a machine alone that a client is at owner.
func (n *nic) sendClientMAC(mac ether.MAC, g handover.Client, owner ether.MAC) {
	frame, err := lan.Correction(n.MAC(), mac, owner, g.IP, g.MachineIP)
	if err != nil {
		n.log.Warn("cannot tell a machine where its client is", "event", "divert_failed", "ip", g.IP, "err", err)
		return
	}
	n.send(frame)
}

// endAsks ends all questions by datagrams without an outcome.
func (e *entry) endProbes() {
	e.hold.EndProbes()
	e.undivert()
}

// forgetAsks ends them, and what was begun for the clients: the machine sends to none of
// them any more, or by itself.
func (e *entry) forgetProbes(k *kernel) {
	e.endProbes()
	addrs := e.Guarded() // what is not among them ends with its claim
	k.later(func() { k.undivertFlows(e, addrs) })
}

// undivert tells the machine the true MAC of clients whose datagrams do not ask any
// more. It answers that to the client itself, who is to be kept here if it waits for
// something else.
func (e *entry) undivert() {
	for _, g := range e.hold.Undivert() {
		if e.nic == nil {
			continue
		}
		e.nic.sendClientMAC(e.target.Owner(g.MachineIP), g, g.MAC)
		if e.hold.HasClient(g.MachineIP, g.MAC) {
			e.pin()
			e.pinState.repeat = true // once more, after the machine's answer
		}
	}
}
