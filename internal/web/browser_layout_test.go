package web_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/browsertest"
	"nightporter/internal/ether"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// many returns a backend of n machines, of which a few are awake and one did not wake.
func many(n int) *liveBackend {
	h := newLiveBackend()
	if n <= len(h.machines) {
		h.machines = h.machines[:n]
	}
	for i := len(h.machines); i < n; i++ {
		name, ip := fmt.Sprintf("vm-%d", i), fmt.Sprintf("192.168.1.%d", 100+i)
		slept := float64(i % 24)
		s := testMachine(name, ip, machine.Asleep, time.Duration(1+i)*time.Minute, slept, 24-slept, slept/2, 11, 12, slept, 10)
		s.MAC = ether.MAC{2, 0, 0, 0, 0, byte(i)}
		s.Monitor[0].Ports = append(s.Monitor[0].Ports, machine.Port{Protocol: machine.TCP, Number: 443}, machine.Port{Protocol: machine.ICMP})
		if i%7 == 0 {
			s.State = machine.Awake
		}
		if i%3 > 0 {
			s.LastWake = knockedAt(time.Duration(i)*time.Hour, "192.168.1.31:50112", ip, 22)
		}
		h.machines = append(h.machines, s)
	}
	return h
}

// looks of the page: how wide and high it is, and how long it may be.
var looks = []struct {
	width, height int64
	atMost        map[int]int // pixels, by machines
}{
	{390, 844, map[int]int{0: 1400, 6: 2000, 60: 7000}},
	{768, 1024, map[int]int{0: 1200, 6: 1500, 60: 5200}},
	{1280, 900, map[int]int{0: 1000, 6: 1400, 60: 5000}},
}

// TestPageLooks: on a phone, a tablet and a desk, with no machine, with a few and with
// many, in light and dark, the page fits, does not move, and can be hit with a finger.
func TestPageLooks(t *testing.T) {
	for _, n := range []int{0, 6, 60} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			h := many(n)
			if n == 0 {
				h.eventLog.all = nil
			}
			b := visit(t, h, func(o *web.Options) {
				o.Listen, o.Registration = []string{":9717"}, []string{":13717"}
				o.Networks = func() []web.Network {
					return []web.Network{{Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.1.2/24"), netip.MustParsePrefix("fd77::2/64")}}}
				}
			})
			for _, look := range looks {
				for _, dark := range []bool{false, true} {
					b.Look(look.width, look.height, dark)
					b.Go(home)
					b.Until(live)
					if n > 0 {
						h.happen("nas")
						b.Until(fmt.Sprintf(`document.querySelector(".events li").dataset.key === "%d"`, h.last()))
					}
					name := fmt.Sprintf("looks-%d-%d", n, look.width)
					if dark {
						name += "-dark"
					}
					still(t, b)
					fits(t, b, name, look.width, look.atMost[n])
					b.Picture(name, true) // may move the page
				}
			}
			content(t, b)
		})
	}
}

// small lists what is shown and can be clicked on, but is less than 44 pixels wide or high.
const small = `Array.from(document.querySelectorAll("a, button, input, select, summary"))
  .filter((e) => e.checkVisibility({visibilityProperty: true}))
  .filter((e) => e.type !== "checkbox" && (e.getBoundingClientRect().width < 43.9 || e.getBoundingClientRect().height < 43.9))
  .filter((e) => !e.matches("p a"))
  .map((e) => e.outerHTML.slice(0, 80) + " " + JSON.stringify(e.getBoundingClientRect())).join("\n")`

// fits expects that nothing has to be scrolled sideways, that the page is not too long,
// that text can be read, and that a finger hits what it is meant to.
func fits(t *testing.T, b *browsertest.Browser, name string, width int64, atMost int) {
	t.Helper()
	var size struct{ Width, Height int }
	b.Eval(`({width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight})`, &size)
	if size.Width > int(width) || size.Height > atMost {
		t.Errorf("%s: %d pixels wide and %d high, want at most %d and %d", name, size.Width, size.Height, width, atMost)
	}
	t.Logf("%s: %d pixels high", name, size.Height)
	var faint string
	if b.Eval(unreadable, &faint); faint != "" {
		t.Errorf("%s: too little contrast:\n%s", name, faint)
	}
	if width > 500 {
		return
	}
	var tooSmall string
	if b.Eval(small, &tooSmall); tooSmall != "" {
		t.Errorf("%s: too small for a finger:\n%s", name, tooSmall)
	}
}

// unreadable lists texts whose contrast is below 4.5 (WCAG 2.2, success criterion 1.4.3).
const unreadable = `(() => {
  const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return {rgb: m.slice(0, 3), a: m[3] ?? 1}; };
  const light = ({rgb}) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => { for (; e !== null; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a === 1) return c; } };
  const found = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (walk.currentNode.data.trim() === "" || !e.checkVisibility() || e.closest(".unseen, noscript")) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.add(ratio.toFixed(2) + " " + e.outerHTML.slice(0, 90));
  }
  return [...found].join("\n");
})()`

// TestPageOpensARow: its details fit each device, stay open when something happens, and
// tell what the row leaves out.
func TestPageOpensARow(t *testing.T) {
	h := newLiveBackend()
	h.set("tower", func(s *machine.Status) {
		s.MAC, s.WakeFrom = ether.MAC{0xd8, 0xcb, 0x8a, 0x39, 0xbe, 0xa1}, []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}
		s.Monitor[0].Ports = append(s.Monitor[0].Ports, machine.Port{Protocol: machine.TCP, Number: 5001}, machine.Port{Protocol: machine.UDP, Number: 51820})
	})
	b := opened(t, h, func(o *web.Options) {
		o.Look.Machines = map[ether.MAC]web.MachineLook{{0xd8, 0xcb, 0x8a, 0x39, 0xbe, 0xa1}: {URL: "http://tower.lan/"}}
		o.Look.Links = map[string]string{"grafana": "http://pi:3000"}
	})
	for _, look := range looks {
		b.Look(look.width, look.height, look.width == 768)
		b.Go(home)
		b.Until(live)
		b.Click("[data-key=tower] summary bdi")
		b.Until(`document.querySelector("[data-key=tower] details").open`)
		fits(t, b, fmt.Sprintf("open-%d", look.width), look.width, 3000)
		b.Picture(fmt.Sprintf("open-%d", look.width), true)
	}
	text := b.Text("[data-key=tower] .details")
	for _, want := range []string{
		"192.168.1.20 ssh 22 dsm 5001 wireguard 51820/udp", "From 192.168.1.0/24", "d8:cb:8a:39:be:a1", "50 W awake, 2 W asleep",
		"17:41:10 packet from 192.168.1.44:61002 for 192.168.1.20:22/tcp does not wake: there were fewer than wake.min_knocks", "Dashboard Forget tower",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the details lack %q: %s", want, text)
		}
	}
	b.Eval(`observed.shifts.length = 0`, nil)
	h.happen("tower")
	b.Until(`document.querySelector("[data-key=tower] .lines li").innerText.includes("knock from 192.0.2.9")`)
	var open bool
	if b.Eval(`document.querySelector("[data-key=tower] details").open`, &open); !open {
		t.Error("the row was closed when something happened")
	}
	still(t, b)
	content(t, b)
}
