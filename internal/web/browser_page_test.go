package web_test

import (
	"strings"
	"testing"

	"nightporter/internal/ether"

	"github.com/chromedp/chromedp/kb"

	"nightporter/internal/machine"
	"nightporter/internal/web"
)

const (
	inBand   = `Array.from(document.querySelectorAll(".attention > li:not([hidden])"), (e) => e.querySelector("bdi").innerText).join()`
	firstRow = `document.querySelector(".group li").dataset.key`
)

func evaluated(t *testing.T, expression string, eval func(string, any)) (s string) {
	t.Helper()
	eval(expression, &s)
	return s
}

// A problem that appears while the user looks moves nothing: it is announced, and comes
// to the top when it is asked for.
func TestPageAnnouncesProblems(t *testing.T) {
	h := newLiveBackend()
	b := opened(t, h, nil)
	before := evaluated(t, firstRow, b.Eval)
	h.fails("tower")
	b.Until(`document.getElementById("news").innerText === "1 new problem" && document.getElementById("news").checkVisibility()`)
	b.Until(`document.querySelector("[data-key=tower] .state").innerText.includes("did not wake")`)
	if got := evaluated(t, inBand, b.Eval); got != "printer" {
		t.Errorf("the band tells of %s already", got)
	}
	h.ready("printer") // which is over, and stays where it is
	b.Until(`document.querySelector(".attention > li.over") !== null`)
	if got := evaluated(t, firstRow, b.Eval); got != before {
		t.Errorf("the first row is %s, and was %s", got, before)
	}
	still(t, b)
	b.Click("#news")
	b.Until(inBand + ` === "tower"`)
	if got := evaluated(t, firstRow, b.Eval); got != "tower" {
		t.Errorf("the first row is %s, want the one that failed", got)
	}
	b.Until(`!document.getElementById("news").checkVisibility()`)
	content(t, b)
}

// What was dismissed is not shown again, nor does the page move when it is loaded.
func TestPageRemembersWhatIsDismissed(t *testing.T) {
	h := newLiveBackend()
	b := opened(t, h, nil)
	b.Click(".attention [data-do=dismiss]")
	b.Until(inBand + ` === ""`)
	b.Go(home)
	b.Until(live)
	b.Until(inBand + ` === ""`)
	still(t, b)
	h.set("printer", func(s *machine.Status) { s.LastWake.At = evening }) // another wake that failed
	h.happen("printer")
	b.Until(`document.getElementById("news").checkVisibility()`)
	content(t, b)
}

// One of many is found by typing, and by its state.
func TestPageFindsMachines(t *testing.T) {
	h := many(14)
	b := opened(t, h, nil)
	rows := `Array.from(document.querySelectorAll(".group > ul > li:not([hidden])"), (e) => e.dataset.key).join()`
	if got := evaluated(t, rows, b.Eval); got != "printer,desk,media,nas,tower,vm-5,vm-6,vm-7,vm-8,vm-9,vm-10,vm-11,vm-12,vm-13" {
		t.Errorf("the rows are %s", got)
	}
	b.Eval(`document.getElementById("search").focus()`, nil)
	b.Press("VM 1.11")
	b.Until(rows + ` === "vm-10,vm-11,vm-12,vm-13"`)
	h.happen("vm-12") // and the page is fetched again
	b.Until(`document.querySelector(".events li").innerText.includes("vm-12")`)
	b.Until(rows + ` === "vm-10,vm-11,vm-12,vm-13"`)
	b.Eval(`document.getElementById("search").value = ""; document.getElementById("search").dispatchEvent(new Event("input", {bubbles: true}))`, nil)
	b.Click(".chips [data-state=trouble]")
	b.Until(rows + ` === "printer"`)
	b.Click(".chips [data-state=awake]")
	b.Until(rows + ` === "desk,media,nas,vm-7"`)
	b.Eval(`document.getElementById("search").focus()`, nil)
	b.Press("tower")
	b.Until(rows + ` === "" && document.querySelector(".nomatch").checkVisibility()`)
	if got := b.Text(".chips"); got != "asleep 10 awake 4 trouble 1" {
		t.Errorf("the chips say %q", got)
	}
	content(t, b)
}

// All of a group are woken with one button, and one is forgotten once that is confirmed.
func TestPageWakesAGroupAndForgets(t *testing.T) {
	h := newLiveBackend()
	h.set("tower", func(s *machine.Status) { s.MAC = ether.MAC{2, 0, 0, 0, 0, 1} })
	h.set("printer", func(s *machine.Status) { s.MAC = ether.MAC{2, 0, 0, 0, 0, 2} })
	h.set("nas", func(s *machine.Status) { s.MAC = ether.MAC{2, 0, 0, 0, 0, 3} })
	home := web.MachineLook{Group: "Office"}
	b := opened(t, h, func(o *web.Options) {
		o.Look.Machines = map[ether.MAC]web.MachineLook{{2, 0, 0, 0, 0, 1}: home, {2, 0, 0, 0, 0, 2}: home, {2, 0, 0, 0, 0, 3}: home}
	})
	b.Picture("groups", true)
	b.Click(`[data-key="group Office"] [data-do=wake-all]`)
	says(b, "2 machines are being woken.")
	for name, want := range map[string]machine.State{"tower": machine.Waking, "printer": machine.Waking, "nas": machine.Awake, "desk": machine.Settling} {
		h.set(name, func(s *machine.Status) {
			if s.State != want {
				t.Errorf("%s is %v, want %v", name, s.State, want)
			}
		})
	}
	b.Click("[data-key=desk] summary bdi")
	b.Click("[data-key=desk] [data-do=forget]")
	b.Until(`document.getElementById("sure").open`)
	b.Press(kb.Escape)
	b.Until(`!document.getElementById("sure").open`)
	var fetched string
	b.Eval(`new Promise((r) => setTimeout(r)).then(() => fetch("./")).then((r) => r.text())`, &fetched)
	if !strings.Contains(fetched, `data-key="desk"`) {
		t.Error("desk was forgotten although that was not confirmed")
	}
	b.Click("[data-key=desk] [data-do=forget]")
	b.Until(`document.getElementById("sure").open`)
	b.Click("#sure .main")
	says(b, "desk is forgotten.")
	b.Until(`document.querySelector('[data-key="desk"]') === null`)
	content(t, b)
}

// The guide is there until the first machine is, and what it shows can be copied.
func TestPageGuides(t *testing.T) {
	h := many(0)
	b := opened(t, h, func(o *web.Options) { o.Registration = []string{":13717"} })
	b.Click(".guide .copy button")
	says(b, "Copied.")
	var copied string
	b.Eval(`getSelection().toString()`, &copied)
	if copied == "" {
		t.Error("nothing was copied")
	}
	h.mu.Lock()
	h.machines = newLiveBackend().machines
	h.mu.Unlock()
	h.happen("nas")
	b.Until(`document.querySelector(".guide") === null && document.querySelectorAll(".group > ul > li").length === 5`)
	content(t, b)
}
