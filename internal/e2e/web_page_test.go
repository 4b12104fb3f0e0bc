package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"nightporter/internal/browsertest"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// following is true once the page receives events.
const following = `document.getElementById("link").dataset.link === "live"`

// openPage opens the daemon's page in a browser on the client's host.
func openPage(h *harness) *browsertest.Browser {
	h.Helper()
	b := browsertest.Open(h.TB, h.lan.Client().Dial)
	b.Look(1280, 900, false)
	b.Go(h.daemon.URL("/"))
	b.Until(following)
	return b
}

// rowSays waits until a machine's row has all words.
func rowSays(b *browsertest.Browser, name string, words ...string) {
	for _, w := range words {
		b.Until(fmt.Sprintf(`document.querySelector("[data-key=%s]")?.innerText.includes(%q)`, name, w))
	}
}

// wantPageUnmoved expects that the page did not shift, that it sent requests to the porter
// only, and that the browser has no complaints.
func wantPageUnmoved(h *harness, b *browsertest.Browser) {
	h.Helper()
	if sum, what := b.Shift(); sum > 0.0005 {
		h.Errorf("the page shifted by %.4f, want 0: %q", sum, what)
	}
	if c := b.Complaints(); len(c) > 0 {
		h.Errorf("the browser complains: %q", c)
	}
	own := strings.TrimPrefix(h.daemon.URL(""), "http://")
	if hosts := b.Hosts(); !slices.Equal(hosts, []string{own}) {
		h.Errorf("asked %q, want %s only", hosts, own)
	}
}

// TestPageFollowsAKnock: the page shows that a machine falls asleep and wakes, and then which
// client woke it, for which service, and how long that took.
func TestPageFollowsAKnock(t *testing.T) {
	browsertest.Need(t)
	h := openFor(t, fastProbe, 2*time.Minute)
	nas := h.addNAS(nil)
	h.register(nas.Host, nasRegistration(nas))
	b := openPage(h)
	n := h.daemon.Log.Len()
	h.must(nas.Sleep(h.ctx))
	h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
	rowSays(b, "nas", "asleep", "never woken")
	b.Until(`document.querySelector(".sum dd").innerText === "1 of 1"`)

	h.connect(h.lan.Client(), nas4, 22)
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	client := clientAddr(h.lan.Client(), nas4).String()
	rowSays(b, "nas", "awake", "ready in ", client+" for ssh 22")
	b.Until(`document.querySelector(".events .good")`)
	line := b.Text(".events .good")
	if !contains(line, "nas ready after ", " s (first frame after ", "for "+client+" at "+nas4.String()+":22/tcp") {
		t.Errorf("the event says %q, want who woke it, what for, and how long that took", line)
	}
	wantPageUnmoved(h, b)
	b.Picture("lab", true) // may move the page
}

// TestPageWakes: the button wakes a machine, by keyboard alone.
func TestPageWakes(t *testing.T) {
	browsertest.Need(t)
	h := openFor(t, fastProbe, 2*time.Minute)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	b := openPage(h)
	b.Press(kb.Tab) // to the row
	b.Press(kb.Tab)
	var on string
	if b.Eval(`document.activeElement.innerText`, &on); strings.Join(strings.Fields(on), " ") != "Wake nas" {
		t.Fatalf("the focus is on %q", on)
	}
	n := h.daemon.Log.Len()
	b.Press(kb.Enter)
	h.waitEvent(nas, lab.MagicPacket)
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	b.Until(`document.querySelector("#said p").textContent.startsWith("nas is awake after ")`)
	rowSays(b, "nas", "awake", "requested by "+h.lan.Client().Addr4().String())
	h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="api"}`)
	wantPageUnmoved(h, b)
}

// TestPageFailedWake: the page shows a failed wake, and reconnects after a restart of the
// daemon.
func TestPageFailedWake(t *testing.T) {
	browsertest.Need(t)
	conf := fastProbe + "wake: {attempts: 2, interval: 300ms, timeout: 600ms}\n"
	h := openFor(t, conf, 2*time.Minute)
	nas := h.addNAS(func(c *lab.MachineConfig) { c.IgnoreMagic = lab.IgnoreAll })
	h.putToSleep(nas)
	b := openPage(h)
	b.Click("[data-key=nas] .do button")
	b.Until(`document.querySelector("#said p").textContent === "nas did not wake: no answer to 2 rounds of magic packets."`)
	rowSays(b, "nas", "asleep, did not wake", "did not wake: no answer to 2 rounds of magic packets")
	wantPageUnmoved(h, b)
	b.Click("#news")
	b.Until(`document.querySelector(".attention").innerText.includes("nas did not wake")`)

	_, err := h.daemon.Stop(h.within(10 * time.Second))
	h.must(err)
	b.Until(`document.getElementById("link").innerText.startsWith("No connection since ")`)
	h.daemon, err = h.daemon.Again(h.ctx, conf)
	h.must(err)
	h.killAtEnd(h.daemon)
	b.Until(following)
	rowSays(b, "nas", "asleep", "did not wake: no answer to 2 rounds of magic packets")
	b.Until(fmt.Sprintf(`document.querySelector(".events li").innerText.includes(%q)`, journal.Asleep))
	b.Until(`document.querySelector(".attention").innerText.includes("nas did not wake")`)
}

// TestPageFirstMachine: without a machine the page shows a guide with the porter's interface
// and address. The first machine appears, under the configured heading.
func TestPageFirstMachine(t *testing.T) {
	browsertest.Need(t)
	h := openFor(t, fastProbe, 2*time.Minute)
	b := openPage(h)
	own := h.lan.Porter().Addr4().String()
	text := b.Text(".guide")
	if !contains(text, "watches "+lab.Interface+" ("+own+"/", "nightporter register --to "+own, "agentless: true") {
		t.Errorf("the guide says %q", text)
	}
	nas := h.addNAS(nil)
	h.register(nas.Host, nasRegistration(nas))
	rowSays(b, "nas", "settling")

	h.reload(fastProbe+fmt.Sprintf("http: {links: {grafana: 'http://grafana.lan'}}\nenergy: {price: 0.30 EUR}\n"+
		"machines: [{name: nas, mac: %q, url: 'http://nas.lan/', group: Storage, monitor: [{ip: %s, port: [22]}]}]\n", nas.MAC(), nas4), "configuration reloaded")
	b.Go(h.daemon.URL("/"))
	b.Until(following)
	for selector, want := range map[string]string{
		".group h2": "Storage Wake all of Storage", ".sum": "EUR", ".do": "Open nas", "footer": "Grafana",
	} {
		if got := b.Text(selector); !strings.Contains(got, want) {
			t.Errorf("after a reload %s says %q, want %q", selector, got, want)
		}
	}
	wantPageUnmoved(h, b)
}
