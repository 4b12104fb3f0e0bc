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
	if err := r.addresses(path, raw, example, &r.req.Monitor); err != nil {
		return err
	}
	if len(r.req.Monitor) == 0 {
		return Refuse(Invalid, "%s: found an empty list: expected at least one address", path)
	}
	r.req.HasMonitor = true
	return nil
}

// addresses reads a list of addresses of the machine, or of its guests. The limits of services
// are for both lists together.
func (r *reader) addresses(path string, raw json.RawMessage, example string, into *[]machine.Address) error {
	entries, err := list(path, raw, MaxAddresses, example)
	if err != nil {
		return err
	}
	for i, raw := range entries {
		a, err := r.address(fmt.Sprintf("%s[%d]", path, i), raw, into == &r.req.Guests)
		if err != nil {
			return err
		}
		*into = append(*into, a)
	}
	n := machine.CountServices(r.req.Monitor) + machine.CountServices(r.req.Guests)
	if n > machine.MaxServices {
		return Refuse(Invalid, "%s: found %d services: expected at most %d", path, n, machine.MaxServices)
	}
	if n := machine.CountSettings(r.req.Monitor) + machine.CountSettings(r.req.Guests); n > machine.MaxSettings {
		return Refuse(Invalid, "%s: found %d services with settings of their own: expected at most %d", path, n, machine.MaxSettings)
	}
	return nil
}

// address reads one entry of monitor or guests. An entry of guests may have a MAC.
func (r *reader) address(path string, raw json.RawMessage, guest bool) (machine.Address, error) {
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
	if guest {
		fields["mac"] = func(path string, raw json.RawMessage) (err error) {
			a.MAC, err = unicast(path, raw)
			return err
		}
	}
	if err := r.object(path, raw, fields); err != nil {
		return a, err
	}
	if !a.IP.IsValid() {
		return a, missing(path+".ip", "an IPv4 or IPv6 address")
	}
	if !hasPort {
		return a, missing(path+".port", "a list of ports; an empty list claims the address, but no packet wakes")
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
		// A zone names an interface of the machine.
		return netip.Addr{}, wrong(path, raw, "an address without a zone")
	}
	ip = ip.Unmap()
	if r.req.Has(ip) || named(r.req.Guests, ip) != nil {
		return netip.Addr{}, wrong(path, raw, "an address that is not in the list already")
	}
	return ip, nil
}
