package config

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// machinesKey is the list of machines that are known without a registration. It
// is set in the file only: one variable or flag is no place for it.
func machinesKey() key {
	return key{
		path:    "machines",
		help:    "machines that are known without registering",
		def:     []any{},
		members: map[string]secretKind{"password": secretForm, "token": secretText},
		set:     func(c *Config, p place, raw any) { c.Machines, c.Pages = readMachines(p, raw, c.Energy) },
		get:     func(c *Config) any { return showMachines(c.Machines, c.Pages) },
		redact:  redactMembers,
	}
}

func readMachines(p place, raw any, energy Energy) ([]machine.Spec, map[ether.MAC]MachinePage) {
	list, ok := raw.([]any)
	if !ok {
		p.wrong(raw, "a list of machines")
		return nil, nil
	}
	var pages map[ether.MAC]MachinePage
	var specs []machine.Spec
	var places []place
	seen := taken{}
	for i, r := range list {
		at := p.entry(i)
		spec, page, ok := readMachine(at, r, energy)
		if !ok || !seen.add(at, r, &spec) {
			continue
		}
		specs, places = append(specs, spec), append(places, at)
		if page != (MachinePage{}) {
			if pages == nil {
				pages = make(map[ether.MAC]MachinePage)
			}
			pages[spec.MAC] = page
		}
	}
	checkWakeMACs(specs, places)
	checkGuestMACs(specs, places)
	return specs, pages
}

// taken remembers where each name, MAC and IP was seen, by its text: the three
// cannot be confused with each other, since each has a prefix of its own.
type taken map[string]string

// add reports whether all that must be unique in spec is new; raw is its entry.
func (t taken) add(p place, raw any, spec *machine.Spec) bool {
	ok := t.one(p.member("name"), "name ", spec.Name)
	ok = t.one(p.member("mac"), "MAC ", spec.MAC.String()) && ok
	for i, at := range ipPlaces(p, raw, spec) {
		ok = t.one(at, "IP ", spec.Monitor[i].IP.String()) && ok
	}
	return ok
}

func (t taken) one(p place, what, value string) bool {
	if first, ok := t[what+value]; ok {
		return p.wrong(value, "one that is not used yet: "+first+" is the same")
	}
	t[what+value] = p.path
	return true
}

func readMachine(p place, raw any, energy Energy) (machine.Spec, MachinePage, bool) {
	members := []string{"name", "mac", "ip", "ports", "monitor", "guests", "idle_watts", "sleep_watts", "wake_from", "agentless", "watch", "url", "group", "password", "token"}
	e, ok := openEntry(p, raw, append(members, wakeMembers...)...)
	if !ok {
		return machine.Spec{}, MachinePage{}, false
	}
	spec := machine.Spec{
		Name:       required(e, "name", machineName()),
		MAC:        required(e, "mac", mac()),
		Monitor:    readMonitor(e),
		IdleWatts:  optional(e, "idle_watts", watts(), energy.IdleWatts),
		SleepWatts: optional(e, "sleep_watts", watts(), energy.SleepWatts),
		WakeFrom:   optional(e, "wake_from", noMore(listOf(network()), machine.MaxWakeFrom), nil),
		Password:   optional(e, "password", secretValue(password()), nil),
		Token:      machine.SecretOf(optional(e, "token", secretValue(token(minToken)), "")),
		Agentless:  optional(e, "agentless", boolean(), false),
		Unwatched:  !optional(e, "watch", boolean(), true),
	}
	readGuests(e, &spec)
	readWakePath(e, &spec)
	page := readPage(e)
	if e.ok {
		checkName(e, &spec)
	}
	if e.ok && p.report.sound("energy.idle_watts", "energy.sleep_watts") {
		checkWatts(e, &spec)
	}
	return spec, page, e.ok
}

// checkWatts refuses a machine that draws more asleep than awake, also where
// one of the two is what energy says.
func checkWatts(e *entry, spec *machine.Spec) {
	if spec.SleepWatts <= spec.IdleWatts {
		return
	}
	at, idle := e.place.member("sleep_watts"), e.place.member("idle_watts").path
	if e.values["sleep_watts"] == nil {
		at.origin, at.line = "from energy.sleep_watts", nil
	}
	if e.values["idle_watts"] == nil {
		idle = "energy.idle_watts"
	}
	e.ok = at.wrong(spec.SleepWatts, fmt.Sprintf("at most %s, which is %v", idle, spec.IdleWatts))
}

func machineName() codec[string] {
	return parsed("name", "a name of 1 to 64 visible characters, no slash, no space at either end, no word in letters of two scripts, in quotes if it looks like a number",
		func(s string) (string, bool) {
			name, err := machine.ParseName(s)
			return name, err == nil
		}, asIs[string])
}

// checkName refuses the MAC address of another machine as a name.
func checkName(e *entry, spec *machine.Spec) {
	if mac, ok := machine.MACInName(spec.Name); ok && mac != spec.MAC {
		e.ok = e.place.member("name").wrong(spec.Name, "a name that is not the MAC address of another machine")
	}
}

func password() codec[[]byte] {
	return parsed("password", "a SecureOn password in quotes: six bytes such as 01:23:45:67:89:ab, or four such as 192.0.2.1",
		func(s string) ([]byte, bool) {
			b, err := machine.ParsePassword(s)
			return b, err == nil
		}, func(b []byte) any {
			if len(b) == net.IPv4len {
				return netip.AddrFrom4([4]byte(b)).String()
			}
			return net.HardwareAddr(b).String()
		})
}

// monitor reads the addresses of a machine and their ports.
func monitor() codec[[]machine.Address] {
	const expected = `a list of at least one address, such as {ip: 192.0.2.7, port: [22, "51820/udp", "icmp"]}, or ip and ports in its place`
	read := func(p place, raw any) ([]machine.Address, bool) {
		list, ok := raw.([]any)
		if !ok || len(list) == 0 {
			return nil, p.wrong(raw, expected)
		}
		addrs := make([]machine.Address, 0, len(list))
		for i, r := range list {
			a, good := readAddress(p.entry(i), r, false)
			addrs, ok = append(addrs, a), ok && good
		}
		return addrs, ok && monitorBounded(p, addrs)
	}
	return codec[[]machine.Address]{read: read, show: showAddresses}
}

func showMachines(specs []machine.Spec, pages map[ether.MAC]MachinePage) any {
	shown := make([]any, len(specs))
	for i, s := range specs {
		m := ordered{
			{"name", s.Name},
			{"mac", s.MAC.String()},
			{"monitor", showAddresses(s.Own())},
		}
		if guests := s.Guests(); len(guests) > 0 {
			m = append(m, member{"guests", showAddresses(guests)})
		}
		m = append(m, ordered{
			{"idle_watts", s.IdleWatts},
			{"sleep_watts", s.SleepWatts},
			{"wake_from", listOf(network()).show(s.WakeFrom)},
			{"agentless", s.Agentless},
			{"watch", !s.Unwatched},
		}...)
		m = append(m, showPage(pages[s.MAC])...)
		m = append(m, showWakePath(s)...)
		if len(s.Password) > 0 {
			m = append(m, member{"password", password().show(s.Password)})
		}
		if s.Token != (machine.Secret{}) {
			m = append(m, member{"token", hex.EncodeToString(s.Token[:])})
		}
		shown[i] = m
	}
	return shown
}

func redactMembers(shown any) any {
	list := shown.([]any)
	for _, m := range list {
		for i, field := range m.(ordered) {
			if field.name == "password" || field.name == "token" {
				m.(ordered)[i].value = redacted
			}
		}
	}
	return list
}
