package web_test

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// order returns the names of the rows, in their order, with the headings above them.
func order(t *testing.T, page string) string {
	t.Helper()
	var names []string
	for _, m := range regexp.MustCompile(`<h2>([^<]*)<|<li data-key="([^"]*)" data-state`).FindAllStringSubmatch(page, -1) {
		if m[1] != "" {
			m[2] = "[" + m[1] + "]"
		}
		names = append(names, m[2])
	}
	return strings.Join(names, " ")
}

// An empty page says how the first machine is added, with what is true here.
func TestGuide(t *testing.T) {
	lan := []web.Network{
		{Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::2/64"), netip.MustParsePrefix("fd00::2/64"), netip.MustParsePrefix("10.1.2.20/16")}},
		{Name: "eth1"},
	}
	six := []web.Network{{Name: "lan", Addresses: lan[0].Addresses[:2]}}
	for name, tt := range map[string]struct {
		change func(*web.Options)
		want   []string
		not    string
	}{
		"usual": {func(o *web.Options) {
			o.Networks, o.Listen, o.Registration = func() []web.Network { return lan }, []string{":9717"}, []string{":13717"}
		}, []string{
			"watches <b>eth0</b> (fe80::2/64, fd00::2/64, 10.1.2.20/16), <b>eth1</b> (no address yet).",
			`- {name: nas, mac: &#34;d8:cb:8a:39:be:a1&#34;, ip: 10.1.2.21, ports: [ssh, 445], agentless: true}`,
			"nightporter register --to 10.1.2.20 --port 22/tcp,445/tcp --watch", "TCP port 13717", "<code>http://10.1.2.20:9717/</code>",
		}, `id="events"`},
		"other ports": {func(o *web.Options) {
			o.Networks, o.Listen, o.Registration = func() []web.Network { return six }, []string{"127.0.0.1:80"}, []string{":99"}
		}, []string{"register --to [fd00::2]:99 ", "ip: 192.168.1.20", "<code>http://127.0.0.1:80/</code>"}, ""},
		"nothing registers": {func(o *web.Options) { o.Networks = func() []web.Network { return nil } },
			[]string{"watches no interface yet.", "<code>http://porter.local/</code>"}, "nightporter register"},
	} {
		opts := options(new(fakeBackend))
		tt.change(&opts)
		page := askWith(t, opts, "GET", "/").Body.String()
		if !contains(page, tt.want...) || tt.not != "" && strings.Contains(page, tt.not) {
			t.Errorf("%s: want %q, and not %q:\n%s", name, tt.want, tt.not, page[strings.Index(page, "<main"):])
		}
	}
}

// What the configuration says of the page is shown, also after it changed.
func TestLook(t *testing.T) {
	second := named("pc")
	second.MAC = ether.MAC{2, 0, 0, 0, 0, 2}
	h := &fakeBackend{machines: []machine.Status{nas(), second, named("tv")}}
	opts := options(h)
	opts.Look = web.Look{
		Machines: map[ether.MAC]web.MachineLook{
			nas().MAC: {Group: "Storage & more", URL: "https://nas.lan:5001/x"}, second.MAC: {Group: "Desks", URL: "javascript:alert(1)"},
		},
		Price: web.Price{Amount: 7200, Currency: "EUR"},
		Links: map[string]string{"grafana": "http://pi:3000/sub/", "home": "http://ha.lan/"},
	}
	s := newServer(t, opts)
	page := call(s, "GET", "http://porter.local/").Body.String()
	for _, want := range []string{
		`href="https://nas.lan:5001/x"`, "#ZgotmplZ", "<h2>Storage &amp; more<button", `data-do="wake-all"`,
		`<a href="http://pi:3000/sub/" rel="noreferrer">Grafana</a>`, `<a href="http://ha.lan/" rel="noreferrer">Home</a>`,
		`href="http://pi:3000/sub/d/nightporter-machine?var-machine=nas"`, `2.96 EUR<small>0.4 Wh</small>`, `0.4 Wh <span class="of">2.96 EUR</span>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, `="javascript:`) {
		t.Error("a script got into an address")
	}
	if got, want := order(t, page), "[Desks] pc [Storage &amp; more] nas [Other machines] tv"; got != want {
		t.Errorf("the machines stand as %s, want %s", got, want)
	}
	s.SetLook(web.Look{})
	if page := call(s, "GET", "http://porter.local/").Body.String(); strings.Contains(page, "EUR") || strings.Contains(page, "<h2>") || strings.Contains(page, "3000") {
		t.Errorf("after a reload the page has what was there before:\n%s", page)
	}
}
