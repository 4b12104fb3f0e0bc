package web_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"nightporter/internal/browsertest"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

const (
	// live is true once the page follows what happens.
	live = `document.getElementById("link").dataset.link === "live"`
	// focused tells which control has the focus.
	focused = `document.activeElement.innerText || document.activeElement.tagName`
)

// says waits until the page tells what came of a click.
func says(b *browsertest.Browser, words string) {
	b.Until(fmt.Sprintf(`document.querySelector("#said p").textContent.includes(%q)`, words))
}

// content expects a page without complaints: no error, no other host, no violation
// of the policy.
func content(t *testing.T, b *browsertest.Browser) {
	t.Helper()
	if c := b.Complaints(); len(c) > 0 {
		t.Errorf("the browser complains: %q", c)
	}
	if hosts := b.Hosts(); !slices.Equal(hosts, []string{"porter.local"}) {
		t.Errorf("asked %q, want the porter only", hosts)
	}
}

// still expects that nothing moved by itself.
func still(t *testing.T, b *browsertest.Browser) {
	t.Helper()
	if sum, what := b.Shift(); sum > 0.0005 {
		t.Errorf("the page shifted by %.4f, want 0: %q", sum, what)
	}
}

func TestPageInABrowser(t *testing.T) {
	h := newLiveBackend()
	b := opened(t, h, nil)
	for selector, want := range map[string]string{
		".sum":                          "asleep now 2 of 5 of the week asleep 56 % saved since 2025-11-03 88.8 kWh",
		`[data-key=tower]`:              "tower 192.168.1.20 asleep for 3 h 12 min · since 17:24 Last wake: ready in 14.9 s 192.168.1.31 for ssh 22 · 20 h ago 39 % today 9 h 6 min Saved: 12.6 kWh Wake tower",
		`[data-key=desk] .wake`:         "Last wake: never woken",
		`[data-key=printer] .wake .out`: "did not wake: no answer to 6 rounds of magic packets",
		`[data-key=printer] .state b`:   "asleep, did not wake",
		`.group li`:                     "printer 192.168.1.61 asleep, did not wake",
		`.attention`:                    "printer did not wake 9 h 6 min ago (no answer to 6 rounds of magic packets, 192.168.1.31 for ipp 631). Check power, cable and Wake-on-LAN. How ✕",
		`.events li`:                    "20:36:06 media magic packets, round 1",
		`.events .bad`:                  "11:32:10 printer did not wake: no answer to 6 rounds of magic packets, for 192.168.1.31 at 192.168.1.61:631/tcp",
	} {
		if got := b.Text(selector); !strings.HasPrefix(got, want) || selector != ".group li" && got != want {
			t.Errorf("%s says %q, want %q", selector, got, want)
		}
	}
	for _, p := range []struct {
		name          string
		width, height int64
		dark, whole   bool
	}{
		{"page", 1200, 800, false, false},
		{"page-dark", 1200, 800, true, true},
	} {
		b.Look(p.width, p.height, p.dark)
		var wide int
		b.Eval("document.documentElement.scrollWidth", &wide)
		if wide > int(p.width) {
			t.Errorf("at %d pixels the page is %d wide", p.width, wide)
		}
		b.Picture(p.name, p.whole)
	}
	var ground [2]string
	for i, dark := range []bool{false, true} {
		b.Look(1200, 800, dark)
		b.Eval("getComputedStyle(document.body).backgroundColor", &ground[i])
	}
	if ground[0] == ground[1] {
		t.Errorf("dark is as light: %s", ground[0])
	}
	content(t, b)
}

// Without a script the page says the same, and has no buttons that do nothing.
func TestPageWithoutScript(t *testing.T) {
	b := opened(t, newLiveBackend(), nil)
	// Taken over from a page fetched later, it is as if loaded then.
	with := strings.ReplaceAll(b.Text("main"), " Wake tower", "")
	with = strings.ReplaceAll(with, "How ✕", "How")
	b.Scripts(false)
	b.Go(home)
	without := b.Text("main")
	for _, name := range []string{"desk", "media", "nas", "printer", "tower"} {
		with = strings.ReplaceAll(with, " Wake "+name, "")
		with = strings.ReplaceAll(with, " Waking "+name, "")
	}
	if diff := cmp.Diff(strings.Fields(with), strings.Fields(without)); diff != "" {
		t.Errorf("without script (-with +without):\n%s", diff)
	}
}

func TestPageFollows(t *testing.T) {
	h := newLiveBackend()
	b := opened(t, h, nil)
	b.Eval(`window.kept = document.querySelector("[data-key=tower] .do button"); kept.focus({preventScroll: true})`, nil)
	for range 3 {
		h.happen("tower", "nas")
	}
	h.set("tower", func(s *machine.Status) { s.State, s.Since = machine.Arriving, evening })
	h.tell(journal.Event{At: evening, Kind: journal.Arrived, Machine: "tower"})
	b.Until(`document.querySelector("[data-key=tower]").innerText.includes("arriving")`)
	b.Until(`document.querySelector(".events li").innerText.includes("its services are not ready yet")`)
	b.Until(`document.querySelectorAll(".events li").length === 19`)
	b.Until(`document.querySelector(".events").scrollTop === 0`)
	var same bool
	b.Eval(`kept === document.activeElement && kept.isConnected && kept.innerText.startsWith("Arriving")`, &same)
	if !same {
		t.Error("the focus is not kept")
	}
	// The list does not scroll while the user reads older ones.
	var before, after float64
	const third = `document.querySelector(".events li[data-key='3']").getBoundingClientRect().top`
	b.Eval(`document.querySelector(".events").scrollTop = 120; `+third, &before)
	h.happen("tower")
	b.Until(`document.querySelectorAll(".events li").length === 20`)
	b.Eval(third, &after)
	if math.Abs(before-after) >= 1 {
		t.Errorf("an event that is being read went from %v to %v", before, after)
	}
	still(t, b)
	content(t, b)
}

// The events are bounded, and those that go do not move the others.
func TestPageWithManyEvents(t *testing.T) {
	h := newLiveBackend()
	b := visit(t, h, nil)
	b.Look(390, 844, false)
	b.Go(home)
	b.Until(live)
	b.Eval(`document.querySelector(".events").scrollIntoView()`, nil)
	for i := range 12 {
		for range 20 {
			h.happen("nas")
		}
		b.Until(fmt.Sprintf(`document.querySelector(".events li").dataset.key === "%d"`, 12+20*(i+1)))
	}
	b.Until(`document.querySelectorAll(".events li").length === 100`)
	// Nor does a row that has more to say, also where the browser does not scroll to
	// make up for it.
	b.Eval(`scrollTo(0, 0)`, nil)
	h.set("desk", func(s *machine.Status) { s.LastWake = knockedAt(time.Minute, "192.168.1.31:50112", "192.168.1.71", 22) })
	h.happen("desk")
	b.Until(`document.querySelector("[data-key=desk] .wake").innerText.includes("ready in 14.9 s")`)
	still(t, b)
	content(t, b)
}

func TestPageWakesByKeyboard(t *testing.T) {
	h := newLiveBackend()
	b := opened(t, h, nil)
	for range 20 {
		b.Press(kb.Tab)
		var on string
		b.Eval(focused, &on)
		if strings.Join(strings.Fields(on), " ") == "Wake tower" {
			break
		}
	}
	b.Press(kb.Enter)
	says(b, "tower is being woken.")
	b.Until(`document.querySelector("[data-key=tower] .do button").getAttribute("aria-disabled") === "true"`)
	var on string
	b.Eval(focused, &on)
	if strings.Join(strings.Fields(on), " ") != "Waking tower" {
		t.Errorf("the focus is on %q", on)
	}
	b.Press(kb.Enter) // to no effect
	h.ready("tower")
	says(b, "tower is awake after 14.9 s.")
	b.Until(`document.querySelector("[data-key=tower] .wake").innerText.includes("ready in 14.9 s")`)
	asked := 0
	for _, e := range h.Events(0, "tower", 100) {
		if e.Kind == journal.Asked {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("a wake was asked for %d times, want once", asked)
	}
	b.Press(kb.Escape)
	b.Until(`document.querySelector("#said p").textContent === ""`)
	b.Press(kb.Tab)
	b.Eval(focused, &on)
	if !strings.Contains(on, "its services are not ready yet") && !strings.Contains(on, "magic packet") {
		t.Errorf("after the buttons the focus is on %q, want the events", on)
	}
	still(t, b)
	content(t, b)
}

// A machine may have been switched off without a word.
func TestPageWakesOneThatCountsAsAwake(t *testing.T) {
	h := newLiveBackend()
	b := opened(t, h, nil)
	b.Click("[data-key=nas] .do button")
	says(b, "nas counts as awake. A magic packet was sent anyway.")
	content(t, b)
}

func TestPageTellsOfFailure(t *testing.T) {
	h := newLiveBackend()
	b := opened(t, h, nil)
	b.Click("[data-key=tower] .do button")
	says(b, "tower is being woken.")
	h.tell(journal.Event{At: evening, Kind: journal.Failed, Machine: "tower", Attempts: 6})
	says(b, "tower did not wake: no answer to 6 rounds of magic packets.")
	b.Click("#said button")
	b.Until(`getComputedStyle(document.getElementById("said")).display === "none"`)
	b.Click("[data-key=desk] .do button")
	says(b, "desk is being woken.")
	content(t, b)
}

func TestPageTellsErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		fail error
		rate int
		want string
	}{
		"late":     {context.DeadlineExceeded, 0, "tower was not woken: the porter did not answer in time. Try again."},
		"conflict": {fmt.Errorf("%w: it is being moved", machine.ErrConflict), 0, "tower was not woken: not possible in the machine's state: it is being moved"},
		"too many": {nil, 2, "desk was not woken: too many requests from here. Try again in "},
	} {
		t.Run(name, func(t *testing.T) {
			h := newLiveBackend()
			h.fail = tt.fail
			b := opened(t, h, func(o *web.Options) { o.Rate = tt.rate })
			b.Click("[data-key=tower] .do button")
			b.Until(`document.querySelector("#said p").textContent !== ""`)
			b.Click("[data-key=desk] .do button")
			if tt.rate == 0 {
				b.Click("[data-key=tower] .do button")
			}
			says(b, tt.want)
		})
	}
}

// The page notices that the porter is gone, and takes up what it missed.
func TestPageLosesTheStream(t *testing.T) {
	h := newLiveBackend()
	b := opened(t, h, nil)
	b.Sever()
	b.Until(`document.getElementById("link").innerText.startsWith("No connection since ")`)
	b.Click("[data-key=tower] .do button")
	says(b, "tower was not woken: the porter cannot be reached.")
	// Until it has also tried to look, after which it is for the page to go on.
	b.Until(`performance.getEntriesByName(location.href, "resource").some((e) => e.responseStatus === 0)`)
	h.set("nas", func(s *machine.Status) { s.State = machine.Asleep })
	h.tell(journal.Event{At: evening, Kind: journal.Asleep, Machine: "nas", Reason: "fell silent"})
	b.Mend()
	b.Until(live)
	b.Until(`document.querySelector("[data-key=nas]").innerText.includes("asleep")`)
	b.Until(`document.querySelector(".events li").innerText.includes("asleep")`)
	still(t, b)
}

// What the network calls itself is text, at first and later.
func TestHostileNamesInABrowser(t *testing.T) {
	const evil = `<img src=x onerror=alert(1)><script>alert(2)</script>"'{{.Version}}`
	h := newLiveBackend()
	h.machines = append(h.machines, testMachine(evil, "192.168.1.66", machine.Asleep, time.Hour))
	b := opened(t, h, nil)
	h.tell(journal.Event{At: evening, Kind: journal.Refused, Machine: evil, Reason: evil})
	b.Until(`document.querySelector(".events li").innerText.includes("onerror")`)
	b.Click(`[data-key^="<img"] .do button`)
	says(b, evil+" is being woken.")
	h.ready(evil)
	says(b, evil+" is awake")
	var made int
	b.Eval(`document.querySelectorAll("img, main script").length`, &made)
	if made != 0 {
		t.Error("a name became markup")
	}
	if got := b.Text(`[data-key^="<img"] bdi`); got != evil {
		t.Errorf("it is shown as %q", got)
	}
	content(t, b)
}
