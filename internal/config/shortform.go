package config

import (
	"maps"
	"net/netip"
	"slices"

	"nightporter/internal/machine"
)

// readMonitor reads the addresses of a machine: from monitor, or from ip and ports,
// which are the short form for a machine with the same services at each address.
func readMonitor(e *entry) []machine.Address {
	monitored := e.values["monitor"] != nil
	switch {
	case monitored && (e.values["ip"] != nil || e.values["ports"] != nil):
		e.ok = e.place.member("monitor").wrong(e.values["monitor"], "none beside ip and ports: they are the short form of monitor")
		return nil
	case monitored:
		return required(e, "monitor", monitor())
	case e.values["ip"] == nil:
		e.ok = e.place.member("ip").wrong(nil, "the address of the machine, such as 192.0.2.7, beside ports: [ssh, 445]; or monitor in place of both")
		return nil
	}
	ips := required(e, "ip", notEmpty(listOf(hostAddress()), "at least one address"))
	var services machine.Address
	if !readPorts(e.place.member("ports"), e.values["ports"], &services) {
		e.ok = false
	}
	addrs := withServices(ips, services)
	at := "ports"
	if len(ips) > machine.MaxAddresses {
		at = "ip"
	}
	if e.ok {
		e.ok = monitorBounded(e.place.member(at), addrs)
	}
	return addrs
}

// withServices gives each IP the ports and settings of one address.
func withServices(ips []netip.Addr, a machine.Address) []machine.Address {
	addrs := make([]machine.Address, len(ips))
	for i, ip := range ips {
		addrs[i] = machine.Address{IP: ip, Ports: slices.Clone(a.Ports), Settings: maps.Clone(a.Settings)}
	}
	return addrs
}

// ipPlaces returns where the IP of each address of spec stands; raw is its entry.
func ipPlaces(p place, raw any, spec *machine.Spec) []place {
	places := addressPlaces(p, spec)
	for i := range places {
		places[i] = places[i].member("ip")
	}
	values, _ := stringKeys(raw)
	if values["ip"] != nil {
		_, at, _ := items(p.member("ip"), values["ip"])
		for i := range spec.Own() {
			places[i] = at(i)
		}
	}
	return places
}
