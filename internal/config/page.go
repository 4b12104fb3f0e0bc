package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Bounds of what the status page shows.
const (
	maxURL      = 512 // bytes
	maxGroup    = 64
	maxLinks    = 16
	maxLinkName = 32
	minPrice    = 0.0001 // of a kWh
	maxPrice    = 1_000_000
	maxCurrency = 8
)

// MachinePage is what the configuration says of a machine for the status page alone.
type MachinePage struct {
	URL   string // where a browser finds the machine; empty: nowhere
	Group string // the heading it stands under; empty: none
}

// Price is what a kWh costs. The zero Price is not known.
type Price struct {
	Amount   float64
	Currency string // as the page shows it, such as EUR
}

// readPage reads what an entry says for the status page.
func readPage(e *entry) MachinePage {
	return MachinePage{URL: optional(e, "url", pageURL(), ""), Group: optional(e, "group", groupName(), "")}
}

func showPage(p MachinePage) (shown ordered) {
	if p.URL != "" {
		shown = append(shown, member{"url", p.URL})
	}
	if p.Group != "" {
		shown = append(shown, member{"group", p.Group})
	}
	return shown
}

// pageURL reads an address that a browser can follow. A password in it would be shown
// to all who see the page.
func pageURL() codec[string] {
	expected := fmt.Sprintf("an http or https URL of at most %d bytes, without a user, such as http://192.168.1.20:5000/", maxURL)
	c := text("URL", expected, func(s string) bool {
		u, err := url.Parse(s)
		return err == nil && len(s) <= maxURL && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
	})
	read := c.read
	c.read = func(p place, raw any) (string, bool) {
		s, _ := raw.(string)
		_, rest, _ := strings.Cut(s, "//")
		if host, _, _ := strings.Cut(rest, "/"); strings.Contains(host, "@") {
			return "", p.wrong(amount("a URL with a user"), expected) // the error must not repeat a password
		}
		return read(p, raw)
	}
	return c
}

func groupName() codec[string] {
	return text("name", fmt.Sprintf("a name of 1 to %d characters", maxGroup), func(s string) bool {
		return s != "" && s == strings.TrimSpace(s) && len([]rune(s)) <= maxGroup
	})
}

// price reads what a kWh costs, or "".
func price() codec[Price] {
	return parsed("price", `the price of a kWh with its currency, such as "0.30 EUR", or none`, parsePrice, showPrice)
}

func parsePrice(s string) (Price, bool) {
	if s == "" {
		return Price{}, true
	}
	number, currency, _ := strings.Cut(s, " ")
	amount, err := strconv.ParseFloat(number, 64)
	return Price{Amount: amount, Currency: currency}, err == nil && amount >= minPrice && amount <= maxPrice && isCurrency(currency)
}

func isCurrency(s string) bool {
	other := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.Is(unicode.Sc, r) && r != '.' }
	return s != "" && len([]rune(s)) <= maxCurrency && strings.IndexFunc(s, other) < 0
}

func showPrice(p Price) any {
	if p == (Price{}) {
		return ""
	}
	return strconv.FormatFloat(p.Amount, 'f', -1, 64) + " " + p.Currency
}

// links reads names and URLs. It has no form on one line, so that it is for a file only.
func links() codec[map[string]string] {
	return codec[map[string]string]{read: readLinks, show: showLinks}
}

func readLinks(p place, raw any) (map[string]string, bool) {
	values, ok := stringKeys(raw)
	if !ok {
		return nil, p.wrong(raw, "names with URLs, such as {grafana: http://192.168.1.2:3000/}")
	}
	if len(values) > maxLinks {
		return nil, p.exceeds(len(values), "links", maxLinks)
	}
	var found map[string]string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !isLinkName(name) {
			ok = p.wrong(name, fmt.Sprintf("names of links with 1 to %d letters, digits, spaces, - and _", maxLinkName))
			continue
		}
		target, good := pageURL().read(p.member(name), values[name])
		if !good {
			ok = false
			continue
		}
		if found == nil {
			found = make(map[string]string)
		}
		found[name] = target
	}
	return found, ok
}

func isLinkName(s string) bool {
	other := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" -_", r)
	}
	return s != "" && s == strings.TrimSpace(s) && len([]rune(s)) <= maxLinkName && strings.IndexFunc(s, other) < 0
}

func showLinks(all map[string]string) any {
	shown := ordered{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		shown = append(shown, member{name, all[name]})
	}
	return shown
}
