package config

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// wakeMembers are the members of a machine's entry that say how it is woken.
var wakeMembers = []string{"wake_mac", "wake_interface", "wake_transports", "wake_to", "wake_command"}

// discardPort is the usual port of magic datagrams.
const discardPort = 9

// Bounds of a command, which has to fit in a line of a file.
const (
	maxArguments    = 64
	maxCommandBytes = 4096
)

// readWakePath reads the members of an entry that say how its machine is woken.
func readWakePath(e *entry, spec *machine.Spec) {
	spec.WakeMAC = optional(e, "wake_mac", mac(), ether.MAC{})
	if spec.WakeMAC == spec.MAC {
		spec.WakeMAC = ether.MAC{} // the default
	}
	spec.Path = machine.WakePath{
		Interface:  optional(e, "wake_interface", interfaceName(), ""),
		Transports: optional(e, "wake_transports", listOf(transport()), nil),
		To:         optional(e, "wake_to", wakeTarget(), netip.AddrPort{}),
		Command:    optional(e, "wake_command", command(), nil),
	}
	if e.values["wake_transports"] != nil && spec.Path.Transports == nil {
		spec.Path.Transports = []string{} // none, which is not to leave them to wake.transports
	}
	if e.ok {
		checkWakePath(e, spec)
	}
}

// checkWakePath refuses a path without a destination.
func checkWakePath(e *entry, spec *machine.Spec) {
	p := spec.Path
	switch to := p.To.Addr(); {
	case spec.Has(to):
		e.ok = e.place.member("wake_to").wrong(to.String(),
			"an address other than the machine's own: while it sleeps the porter answers for that")
	case p.Transports != nil && len(p.Transports) == 0 && !to.IsValid() && p.Command == nil:
		e.ok = e.place.member("wake_transports").wrong([]any{},
			"at least one of ethernet and udp, or wake_to or wake_command beside none")
	}
}

// checkWakeMACs refuses the card of one machine to wake another. at has the place of each entry.
func checkWakeMACs(specs []machine.Spec, at []place) {
	for i, s := range specs {
		for j, other := range specs {
			if i != j && s.WakeMAC == other.MAC {
				at[i].member("wake_mac").wrong(s.WakeMAC.String(),
					"the address of a card of this machine: "+at[j].member("mac").path+" is the same")
			}
		}
	}
}

func showWakePath(s machine.Spec) (shown ordered) {
	if s.WakeMAC != (ether.MAC{}) {
		shown = append(shown, member{"wake_mac", s.WakeMAC.String()})
	}
	p := s.Path
	if p.Interface != "" {
		shown = append(shown, member{"wake_interface", p.Interface})
	}
	if p.Transports != nil {
		shown = append(shown, member{"wake_transports", listOf(transport()).show(p.Transports)})
	}
	if p.To.IsValid() {
		shown = append(shown, member{"wake_to", p.To.String()})
	}
	if p.Command != nil {
		shown = append(shown, member{"wake_command", command().show(p.Command)})
	}
	return shown
}

// wakeTarget reads the destination of a magic datagram. A link-local address would need an
// interface.
func wakeTarget() codec[netip.AddrPort] {
	return parsed("IP:port", "a unicast or directed broadcast address with or without a port, such as 192.168.7.255, 192.168.7.255:7 or [2001:db8::7]:9",
		func(s string) (netip.AddrPort, bool) {
			to, err := netip.ParseAddrPort(s)
			if ip, noPort := netip.ParseAddr(s); noPort == nil {
				to, err = netip.AddrPortFrom(ip, discardPort), nil
			}
			ip := to.Addr()
			return to, err == nil && to.Port() != 0 && machine.IsHostAddress(ip) && !ip.IsLinkLocalUnicast()
		}, func(to netip.AddrPort) any { return to.String() })
}

// command reads a program and its arguments. There is no shell.
func command() codec[[]string] {
	read := func(p place, raw any) ([]string, bool) {
		list, ok := raw.([]any)
		if !ok || len(list) == 0 {
			return nil, p.wrong(raw, "a list of a program and its arguments, such as [/usr/local/bin/wake, tower]")
		}
		if len(list) > maxArguments {
			return nil, p.exceeds(len(list), "entries", maxArguments)
		}
		words, size := make([]string, len(list)), 0
		for i, r := range list {
			expected, fits := "text of printable characters, in quotes if it looks like a number", func(string) bool { return true }
			if i == 0 {
				expected, fits = "the absolute path of a program", filepath.IsAbs
			}
			word, good := text("text", expected, fits).read(p.entry(i), r)
			words[i], ok = word, ok && good
			size += len(word)
		}
		if ok && size > maxCommandBytes {
			ok = p.wrong(amount(fmt.Sprintf("%d bytes", size)), fmt.Sprintf("at most %d", maxCommandBytes))
		}
		return words, ok
	}
	show := func(words []string) any {
		shown := make([]any, len(words))
		for i, w := range words {
			shown[i] = w
		}
		return shown
	}
	return codec[[]string]{read: read, show: show}
}
