package registration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/services"
)

// ports reads one port list. A repeated port counts once.
func (r *reader) ports(path string, raw json.RawMessage, a *machine.Address) error {
	entries, err := list(path, raw, MaxPorts, `such as [22, "51820/udp"]`)
	if err != nil {
		return err
	}
	for i, raw := range entries {
		at := fmt.Sprintf("%s[%d]", path, i)
		ports, settings, err := r.service(at, raw)
		if err != nil {
			return err
		}
		for _, p := range ports {
			if _, twice := a.Settings[p]; twice && !settings.IsZero() {
				return Refuse(Invalid, "%s.port: found %q again: expected its settings once", at, p)
			}
			if !slices.Contains(a.Ports, p) {
				a.Ports = append(a.Ports, p)
			}
		}
		a.Set(ports, settings)
	}
	return nil
}

// service reads one entry of a port list: a port, or an object with settings of its service.
func (r *reader) service(path string, raw json.RawMessage) (ports []machine.Port, s machine.Settings, err error) {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		ports, err = r.port(path, raw)
		return ports, s, err
	}
	found := make(map[string]json.RawMessage)
	field := func(name string, read func(string, json.RawMessage) error) func(string, json.RawMessage) error {
		return func(path string, raw json.RawMessage) error {
			found[name] = raw
			return read(path, raw)
		}
	}
	err = r.object(path, raw, map[string]func(string, json.RawMessage) error{
		"port": field("port", func(path string, raw json.RawMessage) (err error) {
			ports, err = r.port(path, raw)
			return err
		}),
		"ready": field("ready", func(path string, raw json.RawMessage) (err error) {
			s.Ready, err = ready(path, raw)
			return err
		}),
		"ready_timeout": field("ready_timeout", func(path string, raw json.RawMessage) (err error) {
			s.ReadyTimeout, err = readyTimeout(path, raw)
			return err
		}),
		"established": field("established", func(path string, raw json.RawMessage) error {
			if json.Unmarshal(raw, &s.Established) != nil {
				return wrong(path, raw, "true or false")
			}
			return nil
		}),
		"wake_from": field("wake_from", func(path string, raw json.RawMessage) (err error) {
			s.WakeFrom, err = prefixes(path, raw, machine.MaxServiceWakeFrom)
			return err
		}),
	})
	if err != nil {
		return nil, s, err
	}
	if ports == nil {
		return nil, s, missing(path+".port", `a port such as "22/tcp"`)
	}
	if at, expected := s.Check(ports); at != "" {
		return nil, s, wrong(path+"."+at, found[at], expected)
	}
	return ports, s, nil
}

// port reads a port: a number, or the name of a service, means both TCP and UDP.
func (r *reader) port(path string, raw json.RawMessage) ([]machine.Port, error) {
	const expected = `1 to 65535, "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as "ssh"`
	var s string
	if json.Unmarshal(raw, &s) != nil || raw[0] != '"' {
		n, ok := wholeNumber(raw)
		if !ok {
			return nil, wrong(path, raw, expected)
		}
		s = strconv.Itoa(n)
	}
	ports, err := machine.ParsePort(s)
	if err == nil {
		return ports, nil
	}
	if r.names == nil {
		r.names = services.Load()
	}
	if ports, err = machine.ParsePort(r.names.Port(s)); err != nil {
		return nil, wrong(path, raw, expected)
	}
	return ports, nil
}

func ready(path string, raw json.RawMessage) (machine.Ready, error) {
	s, err := text(path, raw, `text such as "http:/health"`)
	if err != nil {
		return machine.Ready{}, err
	}
	r, err := machine.ParseReady(s)
	if err != nil {
		return machine.Ready{}, wrong(path, raw, err.Error())
	}
	return r, nil
}

func readyTimeout(path string, raw json.RawMessage) (time.Duration, error) {
	expected := fmt.Sprintf("a duration from %s to %s, such as \"3m\"", machine.MinReadyTimeout, machine.MaxReadyTimeout)
	s, err := text(path, raw, expected)
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < machine.MinReadyTimeout || d > machine.MaxReadyTimeout {
		return 0, wrong(path, raw, expected)
	}
	return d, nil
}
