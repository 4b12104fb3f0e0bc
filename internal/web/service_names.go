package web

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"nightporter/internal/machine"
)

// wellKnown is what people call services, by port. The registered names of some
// (microsoft-ds, ms-wbt-server) say less.
var wellKnown = map[uint16]string{
	21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 53: "dns", 80: "http", 110: "pop3", 111: "portmap", 139: "netbios", 143: "imap",
	389: "ldap", 443: "https", 445: "smb", 515: "printer", 548: "afp", 554: "rtsp", 587: "submission", 631: "ipp", 636: "ldaps",
	873: "rsync", 993: "imaps", 1883: "mqtt", 2049: "nfs", 3260: "iscsi", 3306: "mysql", 3389: "rdp", 5000: "dsm", 5001: "dsm",
	5353: "mdns", 5432: "postgresql", 5900: "vnc", 5985: "winrm", 6379: "redis", 8006: "proxmox", 8080: "http", 8096: "jellyfin",
	8123: "home-assistant", 8443: "https", 9090: "cockpit", 25565: "minecraft", 27015: "steam", 32400: "plex", 51820: "wireguard",
}

// browsable is the scheme under which a browser finds a service at a port.
var browsable = map[uint16]string{
	80: "http", 5000: "http", 8080: "http", 8096: "http", 8123: "http", 32400: "http",
	443: "https", 5001: "https", 8006: "https", 8443: "https", 9090: "https",
}

// service is one that wakes a machine, as the page shows it.
type service struct {
	Name string // such as "ssh 22"
	URL  string // for a browser; may be empty
}

// servicesOf lists the services at an address. A port that is one of TCP and UDP is
// shown once.
func servicesOf(a *machine.Address) []service {
	all := make([]service, 0, len(a.Ports))
	for _, p := range a.Ports {
		if p.Protocol == machine.UDP && has(a, machine.TCP, p.Number) {
			continue
		}
		s := service{Name: serviceName(p)}
		if p.Protocol == machine.TCP && wellKnown[p.Number] == "" && has(a, machine.UDP, p.Number) {
			s.Name += " tcp and udp"
		}
		if scheme, ok := browsable[p.Number]; ok && p.Protocol == machine.TCP {
			s.URL = scheme + "://" + netip.AddrPortFrom(a.IP, p.Number).String() + "/"
		}
		all = append(all, s)
	}
	return all
}

// has reports whether a port of an address is registered.
func has(a *machine.Address, protocol machine.Protocol, number uint16) bool {
	return slices.Contains(a.Ports, machine.Port{Protocol: protocol, Number: number})
}

// serviceName names a port for people.
func serviceName(p machine.Port) string {
	if p.Protocol == machine.ICMP {
		return "ping"
	}
	number := strconv.Itoa(int(p.Number))
	if p.Protocol == machine.UDP {
		number = p.String()
	}
	if name := wellKnown[p.Number]; name != "" {
		return fmt.Sprintf("%s %s", name, number)
	}
	if p.Protocol == machine.TCP {
		return "port " + number
	}
	return number
}
