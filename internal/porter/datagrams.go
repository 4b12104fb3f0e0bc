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
		e.askByDatagram(k, s)
		return
	}
	e.nic.probeService(e.target.Owner(s.Addr), s)
}

// asker returns the client whose datagram a service would be asked with.
func (e *entry) asker(s machine.Service) (netip.Addr, bool) {
	g, ok := e.hold.Asker(s, e.nic.hearsRefusal)
	return g.IP, ok
}

// askByDatagram asks a UDP service with the datagram that has waited longest for it:
// one of our own, without content, is the end of a connection to some programs. What
// the machine sends the client comes here meanwhile: a connected socket would take a
// refusal for an error.
//
// A client behind a router is asked for without that, and only if no other waits: the
// machine's way to it is the router's, so that its refusal is not heard.
func (e *entry) askByDatagram(k *kernel, s machine.Service) {
	g, ok := e.hold.Asker(s, e.nic.hearsRefusal)
	if !ok {
		return
	}
	if e.nic.divertible(g) && e.hold.CanDivert(g) {
		e.divert(k, g)
		e.nic.placeClient(e.target.Owner(g.Addr), g, e.nic.MAC())
	}
	e.hold.Ask(s, g, e.replay)
}

// divert has the reader send on what the machine sends to a client at our MAC. Where our
// kernel forwards, and the guard does not keep it from that, that is left to the kernel.
func (e *entry) divert(k *kernel, g handover.Guest) {
	if !lan.Forwards(e.nic.name, g.IP) {
		e.hold.Divert(g, false)
		return
	}
	e.hold.Divert(g, true, k.leaveToReader(e, g.IP)...)
}

// hearsRefusal reports whether what a machine sends to a client can come here.
func (n *nic) hearsRefusal(g handover.Guest) bool { return g.MAC == n.MAC() || n.divertible(g) }

// divertible reports whether a machine can be told that a client is at our MAC. A
// gateway is the way to others as well, and our own host's packets come here anyway.
func (n *nic) divertible(g handover.Guest) bool {
	network := n.network.Load()
	return g.MAC != n.MAC() && network.Contains(g.IP) && !network.Own(g.IP) && !slices.Contains(network.Gateways, g.IP)
}

// placeClient tells a machine alone that a client is at owner.
func (n *nic) placeClient(mac ether.MAC, g handover.Guest, owner ether.MAC) {
	frame, err := lan.Correction(n.MAC(), mac, owner, g.IP, g.Addr)
	if err != nil {
		n.log.Warn("cannot tell a machine where its client is", "event", "divert_failed", "ip", g.IP, "err", err)
		return
	}
	n.send(frame)
}

// endAsks ends all questions by datagrams without an outcome.
func (e *entry) endAsks() {
	e.hold.EndAsks()
	e.undivert()
}

// forgetAsks ends them, and what was begun for the clients: the machine sends to none of
// them any more, or by itself.
func (e *entry) forgetAsks(k *kernel) {
	e.endAsks()
	addrs := e.Guarded() // what is not among them ends with its claim
	k.whenServed(func() { k.leaveToKernel(e, addrs) })
}

// undivert tells the machine the true MAC of clients whose datagrams do not ask any
// more. It answers that to the client itself, who is to be kept here if it waits for
// something else.
func (e *entry) undivert() {
	for _, g := range e.hold.Undivert() {
		if e.nic == nil {
			continue
		}
		e.nic.placeClient(e.target.Owner(g.Addr), g, g.MAC)
		if e.hold.Waits(g.Addr, g.MAC) {
			e.pin()
			e.pins.twice = true // once more, after the machine's answer
		}
	}
}
