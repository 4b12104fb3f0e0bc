package registration

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"nightporter/internal/machine"
)

// monitor reads the list of addresses.
func (r *reader) monitor(path string, raw json.RawMessage) error {
	const example = `such as [{"ip": "192.168.1.5", "port": [22]}]`
	entries, err := list(path, raw, MaxAddresses, example)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return Refuse(Invalid, "%s: found an empty list: expected at least one address", path)
	}
	for i, raw := range entries {
		a, err := r.address(fmt.Sprintf("%s[%d]", path, i), raw)
		if err != nil {
			return err
		}
		r.req.Monitor = append(r.req.Monitor, a)
	}
	if n := machine.CountServices(r.req.Monitor); n > machine.MaxServices {
		return Refuse(Invalid, "%s: found %d services: expected at most %d", path, n, machine.MaxServices)
	}
	if n := machine.CountSettings(r.req.Monitor); n > machine.MaxSettings {
		return Refuse(Invalid, "%s: found %d services with settings of their own: expected at most %d", path, n, machine.MaxSettings)
	}
	r.req.HasMonitor = true
	return nil
}

// address reads one entry of monitor.
func (r *reader) address(path string, raw json.RawMessage) (machine.Address, error) {
	var a machine.Address
	var hasPort bool
	fields := map[string]func(string, json.RawMessage) error{
		"ip": func(path string, raw json.RawMessage) (err error) {
			a.IP, err = r.ip(path, raw)
			return err
		},
		"port": func(path string, raw json.RawMessage) (err error) {
			err = r.ports(path, raw, &a)
			hasPort = true
			return err
		},
	}
	if err := r.object(path, raw, fields); err != nil {
		return a, err
	}
	if !a.IP.IsValid() {
		return a, missing(path+".ip", "an IPv4 or IPv6 address")
	}
	if !hasPort {
		return a, missing(path+".port", "a list of ports; an empty one claims the address and wakes nobody")
	}
	return a, nil
}

func (r *reader) ip(path string, raw json.RawMessage) (netip.Addr, error) {
	const expected = "an IPv4 or IPv6 address"
	s, err := text(path, raw, expected)
	if err != nil {
		return netip.Addr{}, err
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, wrong(path, raw, expected)
	}
	if ip.Zone() != "" {
		// A zone names an interface of the machine's, which means nothing here.
		return netip.Addr{}, wrong(path, raw, "an address without a zone")
	}
	ip = ip.Unmap()
	if r.req.Has(ip) {
		return netip.Addr{}, wrong(path, raw, "an address that is not in the list already")
	}
	return ip, nil
}
