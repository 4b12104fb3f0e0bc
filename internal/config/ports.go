package config

import (
	"strconv"
	"strings"

	"nightporter/internal/machine"
)

// readAddress reads one entry of monitor, or of guests, which has a MAC besides.
func readAddress(p place, raw any, guest bool) (a machine.Address, ok bool) {
	members := []string{"ip", "port"}
	if guest {
		members = append([]string{"mac"}, members...)
	}
	e, ok := openEntry(p, raw, members...)
	if !ok {
		return a, false
	}
	if guest {
		a.MAC = required(e, "mac", mac())
	}
	a.IP = required(e, "ip", hostAddress())
	if !readPorts(e.place.member("port"), e.values["port"], &a) {
		e.ok = false
	}
	return a, e.ok
}

// readPorts reads the services of an address.
func readPorts(p place, raw any, a *machine.Address) bool {
	list, where, ok := items(p, raw)
	if !ok {
		return p.wrong(raw, "a list of ports, such as [ssh, 445]; an empty one claims the address, but no packet wakes")
	}
	seen := map[machine.Port]bool{}
	for i, r := range list {
		at := where(i)
		ports, settings, good := readService(at, r)
		for _, port := range ports {
			if _, twice := a.Settings[port]; twice && !settings.IsZero() {
				good = at.wrong(port.String(), "one that has no settings in this list yet")
			}
			if !seen[port] { // 22 and "22/tcp" may stand side by side
				seen[port] = true
				a.Ports = append(a.Ports, port)
			}
		}
		a.Set(ports, settings)
		ok = ok && good
	}
	return ok
}

// readService reads one entry of a list of ports: a port, or a mapping with what its
// service has of its own.
func readService(p place, raw any) ([]machine.Port, machine.Settings, bool) {
	if _, mapping := stringKeys(raw); !mapping {
		ports, ok := readPort(p, raw)
		return ports, machine.Settings{}, ok
	}
	e, ok := openEntry(p, raw, "port", "ready", "ready_timeout", "established", "wake_from")
	if !ok {
		return nil, machine.Settings{}, false
	}
	ports := required(e, "port", codec[[]machine.Port]{read: readPort})
	s := machine.Settings{
		Ready:        optional(e, "ready", ready(), machine.Ready{}),
		ReadyTimeout: optional(e, "ready_timeout", duration(machine.MinReadyTimeout, machine.MaxReadyTimeout), 0),
		WakeFrom:     optional(e, "wake_from", noMore(listOf(network()), machine.MaxServiceWakeFrom), nil),
	}
	if e.values["established"] != nil {
		established := required(e, "established", boolean())
		s.Established = &established
	}
	if !e.ok {
		return ports, s, false
	}
	if field, expected := s.Check(ports); field != "" {
		return ports, s, e.place.member(field).wrong(e.values[field], expected)
	}
	return ports, s, true
}

func readPort(p place, raw any) ([]machine.Port, bool) {
	s, isText := raw.(string)
	if n, whole := integer(raw); whole {
		s, isText = strconv.FormatInt(n, 10), true
	}
	ports, err := machine.ParsePort(s)
	if err == nil && isText {
		return ports, true
	}
	const expected = `1 to 65535 (TCP and UDP), "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as ssh`
	if !isText || !clean(s) {
		return nil, p.wrong(raw, expected)
	}
	names := p.report.serviceNames()
	if ports, err = machine.ParsePort(names.Port(s)); err == nil {
		return ports, true
	}
	return nil, p.wrong(raw, expected+meant(s, names.Sorted()))
}

// meant asks whether one of the known words was meant; nothing if none is like it.
func meant(word string, known []string) string {
	name, protocol, limited := strings.Cut(word, "/")
	suggestion := suggest(name, known)
	if suggestion == "" || suggestion == name {
		return ""
	}
	if limited {
		suggestion += "/" + protocol
	}
	return ": did you mean " + suggestion + "?"
}

// ready reads how a service shows that it takes its clients.
func ready() codec[machine.Ready] {
	read := func(p place, raw any) (machine.Ready, bool) {
		s, _ := raw.(string)
		r, err := machine.ParseReady(s)
		if err != nil {
			return r, p.wrong(raw, err.Error())
		}
		return r, true
	}
	return codec[machine.Ready]{read: read, show: func(r machine.Ready) any { return r.String() }}
}

// showPorts writes a port with both protocols as a number, and one whose service
// has settings as a mapping.
func showPorts(a machine.Address) any {
	shown := []any{}
	for i := 0; i < len(a.Ports); i++ {
		p := a.Ports[i]
		s, has := a.Settings[p]
		udp := machine.Port{Protocol: machine.UDP, Number: p.Number}
		if p.Protocol == machine.TCP && i+1 < len(a.Ports) && a.Ports[i+1] == udp && a.Settings[udp].Equal(s) && !has {
			shown = append(shown, int(p.Number))
			i++
			continue
		}
		if has {
			shown = append(shown, showSettings(p, s))
			continue
		}
		shown = append(shown, p.String())
	}
	return shown
}

func showSettings(p machine.Port, s machine.Settings) any {
	shown := ordered{{"port", p.String()}}
	if s.Ready != (machine.Ready{}) {
		shown = append(shown, member{"ready", s.Ready.String()})
	}
	if s.ReadyTimeout > 0 {
		shown = append(shown, member{"ready_timeout", Brief(s.ReadyTimeout)})
	}
	if s.Established != nil {
		shown = append(shown, member{"established", *s.Established})
	}
	if len(s.WakeFrom) > 0 {
		shown = append(shown, member{"wake_from", listOf(network()).show(s.WakeFrom)})
	}
	return shown
}

func showAddresses(addrs []machine.Address) any {
	shown := make([]any, len(addrs))
	for i, a := range addrs {
		m := ordered{{"ip", a.IP.String()}, {"port", showPorts(a)}}
		if a.Guest() {
			m = append(ordered{{"mac", a.MAC.String()}}, m...)
		}
		shown[i] = m
	}
	return shown
}

// monitorBounded refuses what is too much for one machine.
func monitorBounded(p place, addrs []machine.Address) bool {
	if n := machine.CountServices(addrs); n > machine.MaxServices {
		return p.exceeds(n, "services", machine.MaxServices)
	}
	if n := machine.CountSettings(addrs); n > machine.MaxSettings {
		return p.exceeds(n, "services with settings of their own", machine.MaxSettings)
	}
	return len(addrs) <= machine.MaxAddresses || p.exceeds(len(addrs), "addresses", machine.MaxAddresses)
}
