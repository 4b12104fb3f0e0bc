package journal

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unique"

	"nightporter/internal/machine"
)

// FuzzTimeline: whatever a file says of a timeline is within bounds, and what was
// believed once is believed again.
func FuzzTimeline(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"spans":"a3600 s28800 w41 a600"}`, `{"spans":"x5 s a-1 s99999999999 s4294967295 \u00e9 u0 a1"}`,
		`{"wakes":[{"at":"2025-11-22T20:00:00Z","trigger":"tcp","outcome":"ready","client":"10.77.0.9","service":"10.77.0.20:22/tcp"},
			{"at":"2025-11-22T19:00:00Z","trigger":"tcp","outcome":"ready"},{"at":"2199-11-22T19:00:00Z","trigger":"api","outcome":"failed"},
			{"at":"2025-11-22T21:00:00Z","trigger":"dream","outcome":"ready"}]}`,
		`{"more_wakes":[{"first":"2025-11-20T20:00:00Z","wakes":5},{"first":"2025-11-21T20:00:00Z","wakes":-5}]}`,
	} {
		f.Add([]byte(s))
	}
	many := func(one string) string { return strings.TrimSuffix(strings.Repeat(one, 2*maxSteps), ",") }
	f.Add(fmt.Appendf(nil, `{"spans":%q,"wakes":[%s],"more_wakes":[%s]}`, many("a1 s1 "),
		many(`{"at":"2025-11-22T20:00:00Z","trigger":"tcp","outcome":"ready","client":"`+strings.Repeat("x", 99)+`"},`),
		many(`{"first":"2025-11-22T20:00:00Z","wakes":1},`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var form timelineForm
		if json.Unmarshal(b, &form) != nil {
			return
		}
		w := writing{at: stamp{wall: night}, after: 100 * time.Hour}
		read := form.timeline(w)
		checkTimeline(t, read)
		base := night.Add(-w.after)
		h := read.history(base, night)
		checkHistory(t, h, night)
		again := timelineFormOf(read, w.after, night).timeline(w)
		same(t, "phases", phases(again.history(base, night)), phases(h))
		if len(again.wakes) != len(read.wakes) || len(again.more) != len(read.more) {
			t.Fatalf("%d wakes, %d bundles; again %d, %d", len(read.wakes), len(read.more), len(again.wakes), len(again.more))
		}
		for i, w := range h.Wakes {
			if len(w.Client) > maxClient || len(w.Service) > maxClient {
				t.Fatalf("wake %d: %+v", i, w)
			}
		}
	})
}

// TestTimelineInTheFile has the form of it, which later versions have to read.
func TestTimelineInTheFile(t *testing.T) {
	tl := &timeline{
		steps: []step{newStep(0, PhaseAwake), newStep(time.Hour, PhaseUnknown), newStep(2*time.Hour, PhaseAsleep), newStep(10*time.Hour, PhaseWaking)},
		wakes: []wakeStep{{10 * time.Hour, machine.ByTCP, machine.UnderWay, unique.Make("10.77.0.9"), unique.Make("10.77.0.20:22/tcp")}},
		more:  []bundle{{time.Hour, 3}},
	}
	b, err := json.Marshal(timelineFormOf(tl, 10*time.Hour+30*time.Second, night))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"spans":"a3600 u3600 s28800 w30",` +
		`"wakes":[{"at":"2025-11-22T21:59:30.123456789Z","trigger":"tcp","outcome":"under_way","client":"10.77.0.9","service":"10.77.0.20:22/tcp"}],` +
		`"more_wakes":[{"first":"2025-11-22T12:59:30.123456789Z","wakes":3}]}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

// longestTimeline is as long as that of a machine can be in a file.
func longestTimeline() *timeline {
	tl := &timeline{}
	for i := range maxSteps {
		tl.steps = append(tl.steps, newStep(time.Duration(i)*20*time.Minute, Phases[1+i%3]))
	}
	for i := range MaxWakes {
		name := unique.Make(string(make([]byte, maxClient))) // each byte is six in JSON
		tl.wakes = append(tl.wakes, wakeStep{at: time.Duration(i) * 20 * time.Minute, client: name, service: name})
	}
	for i := range maxBundles {
		tl.more = append(tl.more, bundle{time.Duration(i) * 20 * time.Hour, maxBundled})
	}
	return tl
}

// TestLongestTimeline: the longest memory with the longest timeline can be read back,
// also those of as many machines as there may be by default.
func TestLongestTimeline(t *testing.T) {
	now := stamp{wall: night.Add(kept), boot: "1a2b3c4d", up: century}
	m := fullMemory(1, 0)
	m.State = machine.Awake // as the last step
	b := &batch{base: night, lines: []line{{event: fullEventText(), memory: *m, timeline: longestTimeline(), carries: newestMemory}}}
	text, err := encode(b, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if most := maxLine / 2; len(text) > most || 1024*len(text) > maxRead {
		t.Errorf("a line of %d bytes, want %d at most, and 1024 of them below %d", len(text), most, maxRead)
	}
	c := readAll(t, append(headerLine(), text...))
	if tl := c.timelines[macOf(1)]; len(tl.steps) != maxSteps || len(tl.wakes) != MaxWakes {
		t.Errorf("%d steps and %d wakes were read", len(tl.steps), len(tl.wakes))
	}
}
