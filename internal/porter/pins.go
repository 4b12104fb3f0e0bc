package porter

import (
	"net/netip"

	"nightporter/internal/handover"
	"nightporter/internal/machine"
)

const (
	// pinRate and pinBurst ration what hosts are told that have not asked, in frames a
	// second on one interface: many machines may arrive at once.
	pinRate  = 1000
	pinBurst = 1000

	// pinned is how many hosts are told so for one address. Each has to remember it,
	// and a kernel remembers a thousand neighbors (Linux, gc_thresh3).
	pinned = 64
)

// refused takes in that a machine which arrives refuses connections at a service. A
// newcomer would meet that refusal: the answer of the machine's own kernel to its
// question is faster than ours. So hosts that were heard on the LAN are told before
// they ask.
func (e *entry) refused(machines *registry) {
	if e.refuses || e.State() != machine.Arriving {
		return
	}
	e.refuses = true
	e.pinHosts(machines, e.Claimed())
}

// diverted takes in that a machine which arrives said that it has an address.
func (e *entry) diverted(machines *registry, addr netip.Addr) {
	e.pin()
	if e.refuses && e.State() == machine.Arriving {
		e.pinHosts(machines, []netip.Addr{addr})
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
