package porter

import (
	"net/netip"

	"nightporter/internal/handover"
	"nightporter/internal/machine"
)

// pinRate and pinBurst ration what hosts are told that have not asked, in frames a
// second on one interface: many machines may be woken at once.
const (
	pinRate  = 1000
	pinBurst = 1000
)

// pinHosts tells the other hosts on the LAN that addresses of the machine are at our
// MAC, also those that never asked for it: the answer of its own kernel would reach a
// newcomer before ours, and then its refusal. A host that sleeps is left alone: some
// cards wake on any unicast frame.
func (e *entry) pinHosts(machines *registry, addrs []netip.Addr) {
	if e.nic == nil {
		return
	}
	for _, six := range []bool{false, true} {
		hosts := e.nic.reader.Hosts(six)
		for mac := range hosts {
			if other := machines.byMAC[mac]; other != nil && (other == e || other.State() != machine.Awake) {
				delete(hosts, mac)
			}
		}
		for _, addr := range addrs {
			if addr.Is6() != six {
				continue
			}
			for mac, ip := range hosts {
				if !e.nic.network.Load().Contains(ip) || !e.nic.pins.Allow() {
					continue
				}
				e.nic.correctOnce(handover.Guest{Addr: addr, MAC: mac, IP: ip}, e.nic.MAC())
			}
		}
	}
}
