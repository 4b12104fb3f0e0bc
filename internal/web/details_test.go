package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nightporter/internal/browsertest"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// week is a week of which each state is seen.
func week() (days []web.StripDay) {
	for i := range 7 {
		days = append(days, web.StripDay{
			Date: fmt.Sprintf("2026-01-%02d", i+1),
			Spans: []web.StripSpan{
				{From: 0, To: 7.5, State: "asleep"}, {From: 7.5, To: 7.6, State: "waking"}, {From: 7.6, To: 18, State: "awake"}, {From: 18, To: 25, State: "asleep"},
			},
			Wakes: []float64{7.5, 24.9},
		})
	}
	return days
}

// A day is a strip of 24 hours, also one that has 25.
func TestStripRows(t *testing.T) {
	got := fmt.Sprint(web.StripRows(week()[:1])[0])
	const want = "{Thu Thu 2026-01-01 [{0.0 75.0 asleep asleep 00:00 to 07:30} {75.0 1.0 waking waking 07:30 to 07:36} " +
		"{76.0 104.0 awake awake 07:36 to 18:00} {180.0 60.0 asleep asleep 18:00 to 25:00}] [75.0 238.0]}"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// full is all that other parts of the program tell of a machine.
func full() web.Told {
	return web.Told{
		Why: []web.WhyLine{
			{Topic: "state", Text: "asleep since 17:24"},
			{Topic: "ignored", Text: "192.168.1.44 at 445/tcp, 3 times", Hint: "add 445/tcp to the machine's ports"},
			{Topic: "ignored", Text: "192.168.1.45 at 80/tcp"},
		},
		Strip:   week(),
		Clients: []web.WakesOf{{Client: "192.168.1.31", Wakes: 12, Last: evening.Add(-time.Hour), Service: "192.168.1.20:22/tcp"}, {Client: "<b>", Wakes: 1}, {Wakes: 1}},
		Pause:   new(web.PauseCell),
	}
}

func TestRowWithAllDetails(t *testing.T) {
	s := newServer(t, options(new(fakeBackend)))
	m := nas()
	row := func(told web.Told) string {
		html, err := web.RowHTML(s, &m, told, evening)
		if err != nil {
			t.Fatal(err)
		}
		return html
	}
	if got := row(full()); !contains(got, "<dt>ignored</dt>", "<small>add 445/tcp to the machine&#39;s ports</small>", `class="part waking" x="75.0"`,
		`class="tick" x="238.0"`, "<bdi>192.168.1.31</bdi> <span>12 ×</span> <small>last 1 h ago for 192.168.1.20:22/tcp</small>", "not recorded", "&lt;b&gt;", `<select class="quiet" data-do="pause">`) {
		t.Errorf("the row is\n%s", got)
	}
	if got := strings.Count(row(full()), "<dt>ignored</dt>"); got != 1 {
		t.Errorf("a topic stands %d times above its lines", got)
	}
	paused := web.Told{Pause: web.PausedUntil(evening.Add(time.Hour), evening)}
	if got := row(paused); !contains(got, `data-do="resume"`, "paused until 21:36", `<span class="state paused"><b>`, "</svg>paused</b><small>until <time", `data-do="wake" aria-disabled="true"`) || strings.Contains(got, "<select") {
		t.Errorf("a paused row is\n%s", got)
	}
	if got := row(web.Told{}); strings.Contains(got, "<h3>") {
		t.Errorf("a row of which nothing is known is\n%s", got)
	}
}

// TestPageShowsAllDetails: with all that a row can tell it still fits each device.
func TestPageShowsAllDetails(t *testing.T) {
	browsertest.Need(t)
	h := newLiveBackend()
	b := opened(t, h, nil)
	var tower machine.Status
	h.set("tower", func(s *machine.Status) { tower = *s })
	html, err := web.RowHTML(newServer(t, options(new(fakeBackend))), &tower, full(), evening)
	if err != nil {
		t.Fatal(err)
	}
	for _, look := range looks {
		for _, dark := range []bool{false, true} {
			b.Look(look.width, look.height, dark)
			b.Eval(fmt.Sprintf(`document.querySelector('[data-key="tower"]').outerHTML = %q; document.querySelector('[data-key="tower"] details').open = true`, html), nil)
			name := fmt.Sprintf("full-%d", look.width)
			if dark {
				name += "-dark"
			}
			fits(t, b, name, look.width, 3000)
			b.Picture(name, true)
		}
	}
	content(t, b)
}

// A number that is registered for TCP and UDP is one service, and a browser gets a link
// where it can follow one, of either family.
func TestServices(t *testing.T) {
	m := nas()
	m.Monitor[1].Ports = []machine.Port{
		{Protocol: machine.TCP, Number: 443}, {Protocol: machine.UDP, Number: 443}, {Protocol: machine.TCP, Number: 4711}, {Protocol: machine.UDP, Number: 80},
		{Protocol: machine.TCP, Number: 4712}, {Protocol: machine.UDP, Number: 4712},
	}
	html, err := web.RowHTML(newServer(t, options(new(fakeBackend))), &m, web.Told{}, midnight)
	const want = `<a class="service" href="https://[2001:db8::5]:443/" rel="noreferrer">https 443</a> <span class="service">port 4711</span> <span class="service">http 80/udp</span> ` +
		`<span class="service">port 4712 tcp and udp</span>`
	if err != nil || !strings.Contains(html, want) || strings.Contains(html, "443/udp") {
		t.Errorf("the row lacks %s, or has a service twice: %v\n%s", want, err, html)
	}
}
