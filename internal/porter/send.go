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

// send sends a frame whose loss does no harm, because another one follows.
func (n *nic) send(frame []byte) {
	if err := n.transmit(frame); err != nil {
		n.log.Debug("frame not sent", "event", "send_failed", "err", err)
	}
}

// announce announces once to all hosts that ip is at owner.
func (n *nic) announce(ip netip.Addr, owner ether.MAC) {
	if a := n.reader.View().Address(ip); owner == n.MAC() && a != nil && !a.Answering() {
		return // a frame of its machine was seen, and the sighting is queued
	}
	n.announceOwner(ether.Broadcast, netip.Addr{}, ip, owner)
	if owner == n.MAC() {
		n.announceToHosts(ip)
	}
}

// sendOwner sends one client the MAC owner of a machine's address.
func (n *nic) sendOwner(client handover.Client, owner ether.MAC) {
	clientIP := client.IP
	if !n.network.Load().Contains(clientIP) {
		clientIP = netip.Addr{} // the frame goes to a router
	}
	n.announceOwner(client.MAC, clientIP, client.MachineIP, owner)
	if clientIP.IsValid() {
		n.correct(client, owner)
	}
}

// correct sends a client on the link the MAC owner of a machine's address, in the form that
// every client accepts.
func (n *nic) correct(client handover.Client, owner ether.MAC) {
	frame, err := lan.Correction(n.MAC(), client.MAC, owner, client.MachineIP, client.IP)
	if err != nil {
		n.log.Debug("cannot correct a neighbor", "event", "correction_failed", "ip", client.MachineIP, "to", client.MAC, "err", err)
		return
	}
	n.send(frame)
}

// announceOwner announces to a neighbor or to all that ip is at owner. client is the
// neighbor's address, if it is known.
func (n *nic) announceOwner(to ether.MAC, client, ip netip.Addr, owner ether.MAC) {
	from, ok := n.network.Load().SourceFor(ip)
	if !ok {
		from = ip // better announced from the address itself than not at all
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

// probe sends an ARP request or a solicitation for ip to a MAC: a machine's own, or
// broadcast. The sender is our own address: a zero sender corrupts the table of some
// access points.
func (n *nic) probe(to ether.MAC, ip netip.Addr) error {
	from, ok := n.network.Load().SourceFor(ip)
	if !ok {
		return fmt.Errorf("interface %s has no source address for a probe of %s", n.name, ip)
	}
	frame, err := lan.NeighborProbe(n.MAC(), to, from, ip)
	if err != nil {
		return err
	}
	return n.transmit(frame)
}

// ping sends the machine an echo request.
func (n *nic) ping(mac ether.MAC, ip netip.Addr) error {
	source, ok := n.sourceNear(ip)
	if !ok {
		return fmt.Errorf("interface %s has no source address for an echo request to %s", n.name, ip)
	}
	n.probeCount++
	frame, err := lan.EchoProbe(n.MAC(), mac, source, ip, lan.ProbePort(0), n.probeCount)
	if err != nil {
		return err
	}
	return n.transmit(frame)
}

// probeService sends a SYN to a TCP service of the machine.
func (n *nic) probeService(mac ether.MAC, s machine.Service) {
	source, ok := n.sourceNear(s.Addr)
	if !ok {
		n.log.Debug("no source address to probe a service", "event", "probe_failed", "service", s)
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

// sourceNear returns our address in the network of ip: the machine's firewall may accept
// packets from its own network only.
func (n *nic) sourceNear(ip netip.Addr) (netip.Addr, bool) {
	network := n.network.Load()
	i := slices.IndexFunc(network.Prefixes, func(p netip.Prefix) bool { return p.Masked().Contains(ip) })
	if i >= 0 {
		return network.Prefixes[i].Addr(), true
	}
	return network.SourceFor(ip)
}

// allowUnicast takes frames from the machine's limit and from that of the interface, or
// returns false. spare frames, which only some neighbors need, leave the reserve for
// clients.
func (e *entry) allowUnicast(frames int, spare bool) bool {
	now, all := time.Now(), e.nic.unicastLimit
	own, rest := e.unicastLimit.TokensAt(now), all.TokensAt(now)
	if spare && (own < unicastReserve || rest < unicastRateOfAll/2) || own < float64(frames) || rest < float64(frames) {
		return false
	}
	return e.unicastLimit.AllowN(now, frames) && all.AllowN(now, frames)
}

// sendOwnerLimited is sendOwner within the limits; it reports whether a frame was sent. The
// form that every neighbor accepts comes first.
func (e *entry) sendOwnerLimited(client handover.Client, owner ether.MAC) bool {
	if !e.nic.network.Load().Contains(client.IP) { // the frame goes to a router
		if !e.allowUnicast(announcementFrames, false) {
			return false
		}
		e.nic.announceOwner(client.MAC, netip.Addr{}, client.MachineIP, owner)
		return true
	}
	if !e.allowUnicast(1, false) {
		return false
	}
	e.nic.correct(client, owner)
	if e.allowUnicast(announcementFrames, true) {
		e.nic.announceOwner(client.MAC, client.IP, client.MachineIP, owner)
	}
	return true
}

// announcementFrames is the largest number of frames of an announcement to one neighbor.
const announcementFrames = 2

// replay sends a held packet to its machine. sum is the checksum state that the kernel
// reported at reception.
func (e *entry) replay(frame []byte, sum lan.Checksum) error {
	p := lan.Packet{Sum: sum}
	if v := p.Parse(frame); v != lan.Accepted {
		return fmt.Errorf("a held frame is %v", v)
	}
	return e.nic.reader.Forward(&p, e.target.Owner(p.To))
}

// announceToHosts sends the other hosts on the LAN one by one that we have an address, since
// some ignore announcements. A host without an entry for the address ignores the frame.
// Half of the rate stays reserved for clients that wait.
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
			n.log.Debug("cannot announce to a neighbor", "event", "correction_failed", "ip", ip, "to", host.MAC, "err", err)
			continue
		}
		n.unicastLimit.Allow()
		n.send(frame)
	}
}
