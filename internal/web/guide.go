package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// registrationPort is the port at which the register command looks for a porter.
const registrationPort = "13717"

// guide is what an empty page says: how the first machine is added.
type guide struct {
	Networks []watchedNetwork
	Page     string // where this page is
	Snippet  string // of a configuration
	Register string // the command; empty: nothing can register
	Port     string // of registrations
}

// guideAddresses is what the guide says of this porter.
type guideAddresses struct {
	networks     func() []Network
	listen       []string
	registration []string
}

// watchedNetwork is an interface and the porter's addresses there.
type watchedNetwork struct{ Name, Addresses string }

func (p guideAddresses) guide(r *http.Request) *guide {
	var networks []Network
	if p.networks != nil {
		networks = p.networks()
	}
	own, prefix := ownAddress(networks)
	g := &guide{Page: p.page(r, own), Snippet: snippet(prefix)}
	for _, n := range networks {
		w := watchedNetwork{Name: n.Name, Addresses: "no address yet"}
		if len(n.Addresses) > 0 {
			w.Addresses = joined(n.Addresses)
		}
		g.Networks = append(g.Networks, w)
	}
	if len(p.registration) == 0 {
		return g
	}
	_, g.Port, _ = net.SplitHostPort(p.registration[0])
	to := own
	if g.Port != registrationPort {
		to = net.JoinHostPort(own, g.Port)
	}
	g.Register = "nightporter register --to " + to + " --port 22/tcp,445/tcp --watch"
	return g
}

func joined(addresses []netip.Prefix) string {
	all := make([]string, len(addresses))
	for i, a := range addresses {
		all[i] = a.String()
	}
	return strings.Join(all, ", ")
}

// ownAddress returns the address at which machines find the porter, IPv4 before IPv6,
// and its network.
func ownAddress(networks []Network) (own string, prefix netip.Prefix) {
	for _, six := range []bool{false, true} {
		for _, n := range networks {
			for _, a := range n.Addresses {
				if ip := a.Addr(); ip.Is6() == six && ip.IsGlobalUnicast() {
					return ip.String(), a
				}
			}
		}
	}
	return "PORTER", netip.Prefix{}
}

// page returns where this page is in the LAN. A reverse proxy may have another
// address for it.
func (p guideAddresses) page(r *http.Request, own string) string {
	host, port, err := net.SplitHostPort(first(p.listen))
	if err != nil || r.TLS != nil { // a certificate is for a name
		return scheme(r) + r.Host + "/"
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = own
	}
	return scheme(r) + net.JoinHostPort(host, port) + "/"
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https://"
	}
	return "http://"
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// snippet is a configuration with one machine in the network of prefix.
func snippet(prefix netip.Prefix) string {
	return "machines:\n  - {name: nas, mac: \"d8:cb:8a:39:be:a1\", ip: " + example(prefix) + ", ports: [ssh, 445], agentless: true}\n"
}

// example returns an address in the network of prefix that is not the porter's.
func example(prefix netip.Prefix) string {
	ip := prefix.Addr()
	if !ip.Is4() || prefix.Bits() > 24 {
		return "192.168.1.20"
	}
	host := ip.As4()
	host[3] = 20
	if netip.AddrFrom4(host) == ip {
		host[3] = 21
	}
	return netip.AddrFrom4(host).String()
}
