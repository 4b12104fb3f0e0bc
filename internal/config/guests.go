package config

import (
	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// readGuests reads the addresses of the guests of a machine, behind its own.
func readGuests(e *entry, spec *machine.Spec) {
	own := len(spec.Monitor)
	spec.Monitor = append(spec.Monitor, optional(e, "guests", guests(), nil)...)
	if e.ok && len(spec.Monitor) > own {
		e.ok = monitorBounded(e.place.member("guests"), spec.Monitor) // both together
	}
}

// guests reads the addresses of virtual machines and containers that have a MAC of
// their own.
func guests() codec[[]machine.Address] {
	read := func(p place, raw any) ([]machine.Address, bool) {
		list, ok := raw.([]any)
		if !ok {
			return nil, p.wrong(raw, `a list of addresses, such as {mac: 52:54:00:12:34:56, ip: 192.0.2.8, port: [22, "51820/udp", "icmp"]}`)
		}
		var addrs []machine.Address
		for i, r := range list {
			a, good := readAddress(p.entry(i), r, true)
			addrs, ok = append(addrs, a), ok && good
		}
		return addrs, ok
	}
	return codec[[]machine.Address]{read: read, show: showAddresses}
}

// addressPlaces returns where the entry of each address of spec stands.
func addressPlaces(p place, spec *machine.Spec) []place {
	places := make([]place, len(spec.Monitor))
	own := len(spec.Own())
	for i := range places {
		places[i] = p.member("monitor").entry(i)
		if i >= own {
			places[i] = p.member("guests").entry(i - own)
		}
	}
	return places
}

// checkGuestMACs refuses a guest that is a machine, this one or another, and one of two
// machines. at tells where the entry of each machine stands.
func checkGuestMACs(specs []machine.Spec, at []place) {
	machines, hosts := make(map[ether.MAC]string), make(map[ether.MAC]string)
	for i, s := range specs {
		machines[s.MAC] = at[i].member("mac").path
		if s.WakeMAC != (ether.MAC{}) {
			machines[s.WakeMAC] = at[i].member("wake_mac").path
		}
	}
	for i := range specs {
		for k, entry := range addressPlaces(at[i], &specs[i]) {
			a, entry := &specs[i].Monitor[k], entry.member("mac")
			if !a.Guest() {
				continue
			}
			host, known := hosts[a.MAC]
			hosts[a.MAC] = at[i].path
			switch {
			case machines[a.MAC] != "":
				entry.wrong(a.MAC.String(), "the MAC address of a guest, not of a machine: "+machines[a.MAC]+" is the same")
			case known && host != at[i].path:
				entry.wrong(a.MAC.String(), "that of a guest of this machine alone: "+host+" has it too")
			}
		}
	}
}
