package porter

import (
	"net/netip"
	"time"

	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

const (
	// pinRate and pinBurst ration what hosts are told that have not asked, in frames a
	// second on one interface: many machines may arrive at once, or fall asleep.
	pinRate  = 1000
	pinBurst = 1000

	// toldAgain is how often they are told while the machine refuses connections: what
	// a host does not use it may forget.
	toldAgain = 4 * time.Second

	// pinned is how many hosts are told so for one address. Each has to remember it,
	// and a kernel remembers a thousand neighbors (Linux, gc_thresh3).
	pinned = 64
)

// refused takes in that a machine which arrives refuses connections at a service. A
// newcomer would meet that refusal: the answer of the machine's own kernel to its
// question is faster than ours. So hosts that were heard on the LAN are told before
// they ask, and again while it lasts.
func (e *entry) refused(machines *registry) {
	if now := time.Now(); e.State() == machine.Arriving && now.Sub(e.refusedAt) >= toldAgain {
		e.refusedAt = now
		e.pinHosts(machines, e.Claimed())
	}
}

// diverted takes in that a machine which arrives said that it has an address.
func (e *entry) diverted(machines *registry, addr netip.Addr) {
	e.pin()
	if !e.refusedAt.IsZero() && e.State() == machine.Arriving {
		e.pinHosts(machines, []netip.Addr{addr})
	}
}

// remind tells the other hosts on the LAN one by one that we have an address: some take
// no announcement. One that does not know the address learns nothing from it.
func (n *nic) remind(ip netip.Addr) {
	for _, host := range n.reader.Hosts(ip.Is6(), pinned) {
		if n.reader.View().Target(host.MAC) != nil || !n.network.Load().Contains(host.IP) || !n.reminders.Allow() {
			continue
		}
		frame, err := lan.Reply(n.MAC(), host.MAC, n.MAC(), ip, host.IP)
		if err != nil {
			n.log.Debug("cannot remind a neighbor", "event", "correction_failed", "ip", ip, "to", host.MAC, "err", err)
			continue
		}
		n.send(frame)
	}
}

// pinHosts tells the other hosts on the LAN that addresses of the machine are at our
// MAC. A host that sleeps is left alone, with its guests: some cards wake on any unicast frame.
func (e *entry) pinHosts(machines *registry, addrs []netip.Addr) {
	if e.nic == nil {
		return
	}
	for _, addr := range addrs {
		for _, host := range e.nic.reader.Hosts(addr.Is6(), pinned) {
			other := machines.at(e.nic, host.MAC)
			asleep := other != nil && other.State() != machine.Awake
			if other == e || asleep || !e.nic.network.Load().Contains(host.IP) || !e.nic.pins.Allow() {
				continue
			}
			e.nic.correctOnce(handover.Guest{Addr: addr, MAC: host.MAC, IP: host.IP}, e.nic.MAC())
		}
	}
}
