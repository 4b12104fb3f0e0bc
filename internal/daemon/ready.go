package daemon

import (
	"context"
	"net"
	"strings"

	"nightporter/internal/config"
	"nightporter/internal/lan"
)

// logReady logs that the daemon is ready once an interface works. Before that it logs what
// the daemon waits for.
func (d *Daemon) logReady(ctx context.Context) {
	select {
	case <-d.porter.Started():
	case <-ctx.Done():
		return
	}
	select {
	case <-d.porter.Working():
	default:
		if err := d.porter.Ready(); err != nil {
			d.log.Warn("not ready: waiting for the network", "event", "waiting", "reason", err.Error())
		}
	}
	select {
	case <-d.porter.Working():
	case <-ctx.Done():
		return
	}
	var missing []any
	if err := d.porter.Ready(); err != nil { // one interface works, another does not
		missing = []any{"unavailable", err.Error()}
	}
	attached := d.porter.Networks()
	d.log.Info("ready", append([]any{"event", "ready", "page", pageOf(d.conf.HTTP, attached), "interfaces", describe(attached),
		"machines", len(d.porter.Machines()), "registration", d.conf.Registration.Listen, "http", d.conf.HTTP.Listen}, missing...)...)
}

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

// pageOf returns the address of the status page, or "" if it is not served. With a web
// configuration it may be HTTP or HTTPS, and the address has no scheme.
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

// hostOf returns the first of our addresses that other hosts can use, IPv4 before IPv6.
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
