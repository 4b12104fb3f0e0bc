package config_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"nightporter/internal/config"
	"nightporter/internal/ether"
)

// What only the status page shows is read, printed, and a change like any other.
func TestMachinePages(t *testing.T) {
	first, second := ether.MAC{2, 0, 0, 0, 0, 1}, ether.MAC{2, 0, 0, 0, 0, 2}
	file := twoMachines("b", "02:00:00:00:00:02", "192.0.2.8")
	plain := load(t, file, nil)
	if plain.Pages != nil {
		t.Errorf("pages of machines that say nothing: %v", plain.Pages)
	}
	given := load(t, strings.Replace(file, "name: b,", "name: b, url: 'https://b.lan:5001/x?y', group: Büro & Keller,", 1), nil)
	want := map[ether.MAC]config.MachinePage{second: {URL: "https://b.lan:5001/x?y", Group: "Büro & Keller"}}
	if !maps.Equal(given.Pages, want) {
		t.Errorf("got %v, want %v; nothing for %v", given.Pages, want, first)
	}
	shown := effective(t, given)
	if !strings.Contains(shown, "    url: \"https://b.lan:5001/x?y\"\n    group: Büro & Keller\n") || strings.Count(shown, "url: ") != 1 {
		t.Errorf("printed as\n%s", shown)
	}
	if got := config.Changed(plain, given); len(got) != 1 || got[0] != "machines" {
		t.Errorf("changed: %v, want machines", got)
	}
}

func TestPrice(t *testing.T) {
	for text, want := range map[string]config.Price{
		"0.30 EUR": {Amount: 0.3, Currency: "EUR"}, "25 ct.": {Amount: 25, Currency: "ct."}, "0.0001 €": {Amount: 0.0001, Currency: "€"}, "": {},
	} {
		if got := load(t, "energy: {price: '"+text+"'}", nil).Energy.Price; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// badPages are bad values of what the status page shows.
var badPages = []struct{ file, want string }{
	{"energy: {price: 0.3}", `energy.price: found 0.3 (from FILE): expected the price of a kWh with its currency, such as "0.30 EUR", or none`},
	{"energy: {price: 0.3EUR}", `energy.price: found "0.3EUR" (from FILE): expected the price of a kWh with its currency, such as "0.30 EUR", or none`},
	{"energy: {price: 0 EUR}", `energy.price: found "0 EUR" (from FILE): expected the price of a kWh with its currency, such as "0.30 EUR", or none`},
	{"energy: {price: NaN EUR}", `energy.price: found "NaN EUR" (from FILE): expected the price of a kWh with its currency, such as "0.30 EUR", or none`},
	{"energy: {price: 1 E U}", `energy.price: found "1 E U" (from FILE): expected the price of a kWh with its currency, such as "0.30 EUR", or none`},
	{"energy: {price: 1 <b>}", `energy.price: found "1 <b>" (from FILE): expected the price of a kWh with its currency, such as "0.30 EUR", or none`},
	{"http: {links: [http://a]}", `http.links: found a list (from FILE): expected names with URLs, such as {grafana: http://192.168.1.2:3000/}`},
	{"http: {links: {grafana: 'javascript:alert(1)'}}", `http.links.grafana: found "javascript:alert(1)" (from FILE): expected an http or https URL of at most 512 bytes, without a user, such as http://192.168.1.20:5000/`},
	{"http: {links: {a.b: 'http://a'}}", `http.links: found "a.b" (from FILE): expected names of links with 1 to 32 letters, digits, spaces, - and _`},
	{"energy: {price: 1000001 EUR}", `energy.price: found "1000001 EUR" (from FILE): expected the price of a kWh with its currency, such as "0.30 EUR", or none`},
	{"http: {links: {" + manyLinks() + "}}", `http.links: found 17 links (from FILE): expected at most 16`},
	{oneMachine("url: 'ftp://nas/'"), `machines[0].url: found "ftp://nas/" (from FILE): expected an http or https URL of at most 512 bytes, without a user, such as http://192.168.1.20:5000/`},
	{oneMachine("url: 'http://nas/" + strings.Repeat("x", 512) + "'"), `machines[0].url: found "http://nas/` + strings.Repeat("x", 69) + `..." (from FILE): expected an http or https URL of at most 512 bytes, without a user, such as http://192.168.1.20:5000/`},
	{oneMachine("url: nas.lan"), `machines[0].url: found "nas.lan" (from FILE): expected an http or https URL of at most 512 bytes, without a user, such as http://192.168.1.20:5000/`},
	{oneMachine("url: 'http://me:hunter2@nas'"), `machines[0].url: found a URL with a user (from FILE): expected an http or https URL of at most 512 bytes, without a user, such as http://192.168.1.20:5000/`},
	{oneMachine("url: 'http://:80'"), `machines[0].url: found "http://:80" (from FILE): expected an http or https URL of at most 512 bytes, without a user, such as http://192.168.1.20:5000/`},
	{oneMachine("group: ''"), `machines[0].group: found "" (from FILE): expected a name of 1 to 64 characters`},
	{oneMachine("group: " + strings.Repeat("ä", 65)), `machines[0].group: found "` + strings.Repeat("ä", 40) + `..." (from FILE): expected a name of 1 to 64 characters`},
}

// manyLinks is one link more than there may be.
func manyLinks() string {
	var all []string
	for i := range 17 {
		all = append(all, fmt.Sprintf("l%d: 'http://a'", i))
	}
	return strings.Join(all, ", ")
}

func TestBadPages(t *testing.T) {
	for _, tt := range badPages {
		t.Run(tt.file, func(t *testing.T) { refusedFile(t, tt.file, tt.want) })
	}
}
