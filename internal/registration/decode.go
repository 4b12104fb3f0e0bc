package registration

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
	"nightporter/internal/services"
)

// reader builds a Request from the JSON object of a registration.
type reader struct {
	req     Request
	hasMAC  bool
	unknown int            // number of unknown keys, with those beyond maxWarnings
	names   services.Names // nil until a name is looked up
}

// registration reads the outermost object.
func (r *reader) registration(raw json.RawMessage, d Defaults) error {
	fields := map[string]func(string, json.RawMessage) error{
		"mac":         r.mac,
		"name":        r.name,
		"monitor":     r.monitor,
		"guests":      r.guests,
		"token":       r.token,
		"idle_watts":  r.idleWatts,
		"sleep_watts": r.sleepWatts,
		"password":    r.password,
		"wake_from":   r.wakeFrom,
		"wake_mac":    r.wakeMAC,
		"watch":       r.watch,
		"check":       r.check,
	}
	if err := r.object("", raw, fields); err != nil {
		return err
	}
	if !r.hasMAC {
		return missing("mac", `a MAC address such as "d8:cb:8a:39:be:a1"`)
	}
	if over := r.unknown - maxWarnings; over > 0 {
		r.req.Warnings = append(r.req.Warnings, fmt.Sprintf("%d more unknown keys, ignored", over))
	}
	if err := r.checkGuests(); err != nil {
		return err
	}
	if r.req.WakeMAC == r.req.MAC {
		r.req.WakeMAC = ether.MAC{} // the default
	}
	return r.fillWatts(d)
}

// fillWatts fills in the defaults of the watts. A default never exceeds a value that the
// machine gave; two values that the machine gave must fit together.
func (r *reader) fillWatts(d Defaults) error {
	if !r.req.HasIdleWatts {
		r.req.IdleWatts = d.IdleWatts
	}
	if !r.req.HasSleepWatts {
		r.req.SleepWatts = min(d.SleepWatts, r.req.IdleWatts)
	}
	if r.req.SleepWatts > r.req.IdleWatts {
		return Refuse(Invalid, "sleep_watts: found %v: expected at most idle_watts (%v)", r.req.SleepWatts, r.req.IdleWatts)
	}
	return nil
}

func (r *reader) mac(path string, raw json.RawMessage) (err error) {
	r.req.MAC, err = unicast(path, raw)
	r.hasMAC = true
	return err
}

func (r *reader) wakeMAC(path string, raw json.RawMessage) (err error) {
	r.req.WakeMAC, err = unicast(path, raw)
	r.req.HasWakeMAC = true
	return err
}

// unicast reads the MAC address of one network card.
func unicast(path string, raw json.RawMessage) (ether.MAC, error) {
	const expected = `a MAC address such as "d8:cb:8a:39:be:a1"`
	s, err := text(path, raw, expected)
	if err != nil {
		return ether.MAC{}, err
	}
	mac, err := ether.ParseMAC(s)
	if err != nil {
		return ether.MAC{}, wrong(path, raw, expected)
	}
	if !mac.Unicast() {
		return ether.MAC{}, wrong(path, raw, "the unicast address of one machine")
	}
	return mac, nil
}

func (r *reader) name(path string, raw json.RawMessage) error {
	s, err := text(path, raw, "a name")
	if err != nil {
		return err
	}
	name, err := machine.ParseName(s)
	if err != nil {
		return Refuse(Invalid, "%s: found %v", path, err)
	}
	r.req.Name, r.req.HasName = name, true
	return nil
}

func (r *reader) token(path string, raw json.RawMessage) error {
	if err := json.Unmarshal(raw, &r.req.Token); err != nil {
		return Refuse(Invalid, "%s: expected a string", path) // a secret is not repeated
	}
	return nil
}

func (r *reader) password(path string, raw json.RawMessage) error {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return Refuse(Invalid, "%s: expected a string", path)
	}
	p, err := machine.ParsePassword(s)
	if err != nil {
		return Refuse(Invalid, "%s: %v", path, err)
	}
	r.req.Password, r.req.HasPassword = p, true
	return nil
}

func (r *reader) watch(path string, raw json.RawMessage) error {
	if err := json.Unmarshal(raw, &r.req.Here); err != nil {
		return wrong(path, raw, "true (up, and to be watched) or false (about to sleep)")
	}
	return nil
}

func (r *reader) check(path string, raw json.RawMessage) error {
	if err := json.Unmarshal(raw, &r.req.Trial); err != nil {
		return wrong(path, raw, "true (check only, register nothing) or false")
	}
	return nil
}

func (r *reader) idleWatts(path string, raw json.RawMessage) (err error) {
	r.req.IdleWatts, err = watts(path, raw)
	r.req.HasIdleWatts = true
	return err
}

func (r *reader) sleepWatts(path string, raw json.RawMessage) (err error) {
	r.req.SleepWatts, err = watts(path, raw)
	r.req.HasSleepWatts = true
	return err
}

func watts(path string, raw json.RawMessage) (float64, error) {
	var w float64
	// The negated comparison also refuses what is not a number.
	if err := json.Unmarshal(raw, &w); err != nil || !(w >= 0 && w <= maxWatts) {
		return 0, wrong(path, raw, fmt.Sprintf("a number of watts from 0 to %d", maxWatts))
	}
	return w, nil
}

func (r *reader) wakeFrom(path string, raw json.RawMessage) (err error) {
	r.req.WakeFrom, err = prefixes(path, raw, MaxWakeFrom)
	r.req.HasWakeFrom = true
	return err
}

// prefixes reads a list of networks, each once, at most so many.
func prefixes(path string, raw json.RawMessage, most int) (all []netip.Prefix, err error) {
	entries, err := list(path, raw, most, `such as ["192.168.1.0/24"]`)
	if err != nil {
		return nil, err
	}
	for i, raw := range entries {
		path := fmt.Sprintf("%s[%d]", path, i)
		const expected = `a prefix such as "192.168.1.0/24", or an address`
		s, err := text(path, raw, expected)
		if err != nil {
			return nil, err
		}
		p, ok := parsePrefix(s)
		if !ok {
			return nil, wrong(path, raw, expected)
		}
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all, nil
}

// parsePrefix reads a CIDR or a bare address, masked and never IPv4-mapped.
func parsePrefix(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), a.Zone() == ""
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	if p.Addr().Is4In6() {
		const mapped = 96 // ::ffff:0:0/96, RFC 4291 section 2.5.5.2
		if p.Bits() < mapped {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p.Masked(), true
}
