package porter

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// send is for frames whose loss is repaired by the next of their kind.
func (n *nic) send(frame []byte) {
	if err := n.transmit(frame); err != nil {
		n.log.Debug("frame not sent", "event", "send_failed", "err", err)
	}
}

// announce tells all hosts once that ip is at owner.
func (n *nic) announce(ip netip.Addr, owner ether.MAC) {
	if a := n.reader.View().Address(ip); owner == n.MAC() && a != nil && !a.Answering() {
		return // its machine spoke, and the loop is about to hear of it
	}
	n.announceOwner(ether.Broadcast, netip.Addr{}, ip, owner)
	if owner == n.MAC() {
		n.announceToHosts(ip)
	}
}

// point tells one client alone that the machine's address is at owner.
func (n *nic) sendOwner(g handover.Client, owner ether.MAC) {
	client := g.IP
	if !n.network.Load().Contains(client) {
		client = netip.Addr{} // the frame goes to a router
	}
	n.announceOwner(g.MAC, client, g.MachineIP, owner)
	if client.IsValid() {
		n.correct(g, owner)
	}
}

// correctOnce tells a client on the link that the machine's address is at owner, in the
// form that every client takes.
func (n *nic) correct(g handover.Client, owner ether.MAC) {
	frame, err := lan.Correction(n.MAC(), g.MAC, owner, g.MachineIP, g.IP)
	if err != nil {
		n.log.Debug("cannot correct a neighbor", "event", "correction_failed", "ip", g.MachineIP, "to", g.MAC, "err", err)
		return
	}
	n.send(frame)
}

// tellOwner tells a neighbor, or all, that ip is at owner. client is the neighbor's
// address, if it is known.
func (n *nic) announceOwner(to ether.MAC, client, ip netip.Addr, owner ether.MAC) {
	from, ok := n.network.Load().SourceFor(ip)
	if !ok {
		from = ip // better announced by the address itself than not at all
	}
	frames, err := lan.Announcement(n.MAC(), to, owner, ip, from, client)
	if err != nil {
		n.log.Warn("cannot announce", "event", "announce_failed", "ip", ip, "to", to, "err", err)
		return
	}
	for _, f := range frames {
		n.send(f)
	}
}

// probe asks for ip at a MAC: a machine's own, or broadcast. The sender is our own
// address: a zero sender poisons the table of some access points.
func (n *nic) probe(to ether.MAC, ip netip.Addr) error {
	from, ok := n.network.Load().SourceFor(ip)
	if !ok {
		return fmt.Errorf("interface %s has no address to ask for %s from", n.name, ip)
	}
	frame, err := lan.NeighborProbe(n.MAC(), to, from, ip)
	if err != nil {
		return err
	}
	return n.transmit(frame)
}

// ping asks the machine itself for an echo reply.
func (n *nic) ping(mac ether.MAC, ip netip.Addr) error {
	source, ok := n.sourceNear(ip)
	if !ok {
		return fmt.Errorf("interface %s has no address to ask %s from", n.name, ip)
	}
	n.probeCount++
	frame, err := lan.EchoProbe(n.MAC(), mac, source, ip, lan.ProbePort(0), n.probeCount)
	if err != nil {
		return err
	}
	return n.transmit(frame)
}

// probeService probes whether a TCP service of the machine takes clients.
func (n *nic) probeService(mac ether.MAC, s machine.Service) {
	source, ok := n.sourceNear(s.Addr)
	if !ok {
		n.log.Debug("no address to probe a service from", "event", "probe_failed", "service", s)
		return
	}
	n.probeCount++
	from := netip.AddrPortFrom(source, lan.ProbePort(n.probeCount))
	frame, err := lan.SYNProbe(n.MAC(), mac, from, netip.AddrPortFrom(s.Addr, s.Number), n.reader.Sequence())
	if err != nil {
		n.log.Warn("cannot probe a service", "event", "probe_failed", "service", s, "err", err)
		return
	}
	n.send(frame)
}

// sourceNear returns our address in the network of ip, which the machine's own
// firewall lets in where it lets its neighbors in.
func (n *nic) sourceNear(ip netip.Addr) (netip.Addr, bool) {
	network := n.network.Load()
	i := slices.IndexFunc(network.Prefixes, func(p netip.Prefix) bool { return p.Masked().Contains(ip) })
	if i >= 0 {
		return network.Prefixes[i].Addr(), true
	}
	return network.SourceFor(ip)
}

// mayTell takes so many frames of the machine's ration and of that for all. What only some
// neighbors need takes nothing of what is kept for clients.
func (e *entry) allowUnicast(frames int, spare bool) bool {
	now, all := time.Now(), e.nic.unicastLimit
	own, rest := e.unicastLimit.TokensAt(now), all.TokensAt(now)
	if spare && (own < unicastReserve || rest < unicastRateOfAll/2) || own < float64(frames) || rest < float64(frames) {
		return false
	}
	return e.unicastLimit.AllowN(now, frames) && all.AllowN(now, frames)
}

// pointRationed tells one neighbor alone that the machine's address is at owner, as far as the
// ration goes. The form that every neighbor on the link takes comes first.
func (e *entry) sendOwnerLimited(g handover.Client, owner ether.MAC) bool {
	if !e.nic.network.Load().Contains(g.IP) { // the frame goes to a router
		if !e.allowUnicast(announcementFrames, false) {
			return false
		}
		e.nic.announceOwner(g.MAC, netip.Addr{}, g.MachineIP, owner)
		return true
	}
	if !e.allowUnicast(1, false) {
		return false
	}
	e.nic.correct(g, owner)
	if e.allowUnicast(announcementFrames, true) {
		e.nic.announceOwner(g.MAC, g.IP, g.MachineIP, owner)
	}
	return true
}

// announcementFrames is how many frames an announcement to one neighbor is at most.
const announcementFrames = 2

// replay sends a held packet to its machine. sum is what the kernel said of its
// checksum when it came.
func (e *entry) replay(frame []byte, sum lan.Checksum) error {
	p := lan.Packet{Sum: sum}
	if v := p.Parse(frame); v != lan.Accepted {
		return fmt.Errorf("a held frame is %v", v)
	}
	return e.nic.reader.Forward(&p, e.target.Owner(p.To))
}

// remind tells the other hosts on the LAN one by one that we have an address: some take
// no announcement. One that does not know the address learns nothing from it. Those that
// wait for machines go before them.
func (n *nic) announceToHosts(ip netip.Addr) {
	for _, host := range n.reader.Hosts(ip.Is6(), maxPinnedHosts) {
		if n.unicastLimit.Tokens() < unicastRateOfAll/2 {
			return
		}
		if n.reader.View().Target(host.MAC) != nil || !n.network.Load().Contains(host.IP) {
			continue
		}
		frame, err := lan.Reply(n.MAC(), host.MAC, n.MAC(), ip, host.IP)
		if err != nil {
			n.log.Debug("cannot remind a neighbor", "event", "correction_failed", "ip", ip, "to", host.MAC, "err", err)
			continue
		}
		n.unicastLimit.Allow()
		n.send(frame)
	}
}
