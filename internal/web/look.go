package web

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"nightporter/internal/ether"
)

// Look is what the configuration says of the page. It is not changed once it is given.
type Look struct {
	Machines map[ether.MAC]MachineLook // of those that say anything
	Price    Price
	Links    map[string]string // URLs by name
}

// MachineLook is what the configuration says of a machine for the page.
type MachineLook struct {
	URL   string // where a browser finds it
	Group string // the heading it stands under
}

// Price is what a kWh costs. The zero Price is not known.
type Price struct {
	Amount   float64
	Currency string
}

// of returns what energy cost, or nothing without a price.
func (p Price) of(joules float64) string {
	if p.Amount == 0 {
		return ""
	}
	cost := joules / 3.6e6 * p.Amount
	if cost >= 1000 {
		return fmt.Sprintf("%.0f %s", cost, p.Currency)
	}
	return fmt.Sprintf("%.2f %s", cost, p.Currency)
}

// Network is an interface that the porter watches.
type Network struct {
	Name      string
	Addresses []netip.Prefix // the porter's own, with the length of the prefix
}

// grafana is the name of the link that leads to dashboards.
const grafana = "grafana"

// machineBoard is the uid of the dashboard of one machine.
const machineBoard = "nightporter-machine"

// board returns where the dashboard of a machine is, or nothing.
func (l *Look) board(name string) string {
	base := l.Links[grafana]
	if base == "" {
		return ""
	}
	return strings.TrimRight(base, "/") + "/d/" + machineBoard + "?" + url.Values{"var-machine": {name}}.Encode()
}

// link is one that leads away from the page.
type link struct{ Name, URL string }

func (l *Look) links() []link {
	all := make([]link, 0, len(l.Links))
	for _, name := range slices.Sorted(maps.Keys(l.Links)) {
		all = append(all, link{Name: capital(name), URL: l.Links[name]})
	}
	return all
}
