package daemon

import (
	"net"
	"strings"

	"nightporter/internal/config"
	"nightporter/internal/lan"
)

// describe names interfaces with our addresses on them, such as
// "eth0 192.168.1.2/24, eth1 10.0.0.2/8".
func describe(attached []lan.Network) string {
	all := make([]string, len(attached))
	for i, n := range attached {
		words := []string{n.Name}
		for _, p := range n.Prefixes {
			if !p.Addr().IsLinkLocalUnicast() {
				words = append(words, p.String())
			}
		}
		all[i] = strings.Join(words, " ")
	}
	return strings.Join(all, ", ")
}

// pageOf returns where the status page is to be found, or nothing if it is not served. With
// a web configuration it may be HTTP or HTTPS, and has no scheme.
func pageOf(conf config.HTTP, attached []lan.Network) string {
	if len(conf.Listen) == 0 {
		return ""
	}
	host, port, err := net.SplitHostPort(conf.Listen[0])
	if err != nil {
		return ""
	}
	if host == "" {
		host = hostOf(attached)
	}
	address := net.JoinHostPort(host, port) + "/"
	if conf.WebConfig != "" {
		return address
	}
	return "http://" + address
}

// hostOf returns the first of our addresses that others can use, IPv4 before IPv6.
func hostOf(attached []lan.Network) string {
	host := ""
	for _, n := range attached {
		for _, p := range n.Prefixes {
			switch {
			case p.Addr().Is4():
				return p.Addr().String()
			case host == "" && !p.Addr().IsLinkLocalUnicast():
				host = p.Addr().String()
			}
		}
	}
	if host == "" {
		return "localhost"
	}
	return host
}
