package wakefilter_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/wakefilter"
)

var (
	alice   = netip.MustParseAddr("192.0.2.1")
	bob     = netip.MustParseAddr("2001:db8::b")
	evening = time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)
)

// sleeper is the filter of a machine that has been asleep since the evening.
func sleeper() *wakefilter.Filter {
	f := new(wakefilter.Filter)
	f.SetAtRest(evening, true)
	return f
}

// step is one knock and what becomes of it: "" wakes.
type step struct {
	after time.Duration // since the evening
	from  netip.Addr
	opens bool
	want  string
}

func judged(why machine.Suppression, suppressed bool) string {
	if !suppressed {
		return ""
	}
	return why.String()
}

func second(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func TestSuppress(t *testing.T) {
	three := wakefilter.Rules{MinKnocks: 3, Window: second(10)}
	night := wakefilter.Rules{MinKnocks: 1, Quiet: wakefilter.Hours{{From: 23 * 60, To: 7 * 60}}}
	cool := wakefilter.Rules{MinKnocks: 1, Cooldown: second(10)}
	all := wakefilter.Rules{MinKnocks: 2, Window: second(10), Quiet: wakefilter.Hours{{From: 21 * 60, To: 21*60 + 1}}, Cooldown: second(120)}
	for _, c := range []struct {
		name  string
		rules wakefilter.Rules
		steps []step
	}{
		{"no rules", wakefilter.Rules{}, []step{{0, alice, false, ""}}},
		{"the first knock is enough", wakefilter.Rules{MinKnocks: 1, Window: second(10)}, []step{{0, alice, true, ""}}},
		{"a client repeats its SYN", three, []step{
			{0, alice, true, "min_knocks"}, {second(1), alice, true, "min_knocks"}, {second(3), alice, true, ""}}},
		{"it goes on while it does not wake", three, []step{
			{0, alice, true, "min_knocks"}, {1, alice, true, "min_knocks"}, {2, alice, true, ""}, {3, alice, true, ""}}},
		{"too slow", three, []step{
			{0, alice, true, "min_knocks"}, {second(1), alice, true, "min_knocks"}, {second(10), alice, true, "min_knocks"}, {second(10.5), alice, true, ""}}},
		{"the window moves", three, []step{
			{0, alice, true, "min_knocks"}, {second(9), alice, true, "min_knocks"}, {second(18), alice, true, "min_knocks"}, {second(18.5), alice, true, ""}}},
		{"two sources", three, []step{
			{0, alice, true, "min_knocks"}, {1, bob, true, "min_knocks"}, {2, alice, true, "min_knocks"}, {3, bob, true, "min_knocks"}, {4, bob, true, ""}}},
		{"any kind of knock", three, []step{
			{0, alice, false, "min_knocks"}, {1, alice, true, "min_knocks"}, {2, alice, false, ""}}},

		{"before the quiet hours", night, []step{{2*time.Hour - 1, alice, true, ""}}},
		{"in them", night, []step{{2 * time.Hour, alice, true, "quiet_hours"}, {10*time.Hour - 1, bob, false, "quiet_hours"}}},
		{"after them", night, []step{{10 * time.Hour, alice, true, ""}}},

		{"a leftover", cool, []step{{0, alice, false, "cooldown"}, {second(10) - 1, bob, false, "cooldown"}, {second(10), alice, false, ""}}},
		{"a new connection", cool, []step{{0, alice, true, ""}}},
		{"read a moment before the claim was", cool, []step{{-1, alice, false, "cooldown"}}},
		{"the clock was set back", cool, []step{{-time.Hour, alice, false, ""}}},

		{"each has its reason, and a knock counts only if it passes the others", all, []step{
			{0, alice, true, "quiet_hours"}, {second(30), alice, false, "quiet_hours"}, {second(60), alice, false, "cooldown"},
			{second(61), alice, true, "min_knocks"}, {second(62), alice, false, "cooldown"}, {second(63), alice, true, ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := sleeper()
			for i, s := range c.steps {
				got := judged(f.Check(&c.rules, wakefilter.Knock{At: evening.Add(s.after), From: s.from, Opens: s.opens}))
				if got != s.want {
					t.Errorf("knock %d: %q, want %q", i+1, got, s.want)
				}
			}
		})
	}
}

// A knock at a machine that is awake or waking is never suppressed.
func TestOnlyRestIsProtected(t *testing.T) {
	strict := wakefilter.Rules{MinKnocks: 10, Window: time.Minute, Quiet: wakefilter.Hours{{From: 0, To: 1440}}, Cooldown: time.Hour}
	f := new(wakefilter.Filter)
	ping := wakefilter.Knock{At: evening, From: alice}
	if got := judged(f.Check(&strict, ping)); got != "" {
		t.Errorf("a machine that has not registered: %q", got)
	}
	f.SetAtRest(evening, true)
	if got := judged(f.Check(&strict, ping)); got != "quiet_hours" {
		t.Errorf("one that sleeps: %q", got)
	}
	f.SetAtRest(time.Time{}, false)
	if got := judged(f.Check(&strict, ping)); got != "" {
		t.Errorf("one that wakes: %q", got)
	}
}

// Before the claim a machine is at least as close to what it served as after it.
func TestSettlingCools(t *testing.T) {
	f := new(wakefilter.Filter)
	f.SetAtRest(time.Time{}, true)
	cool := wakefilter.Rules{Cooldown: time.Second}
	if got := judged(f.Check(&cool, wakefilter.Knock{At: evening, From: alice})); got != "cooldown" {
		t.Errorf("a datagram: %q", got)
	}
	if got := judged(f.Check(&cool, wakefilter.Knock{At: evening, From: alice, Opens: true})); got != "" {
		t.Errorf("a SYN: %q", got)
	}
}

// What was knocked before a wake does not count after it.
func TestAWakeForgets(t *testing.T) {
	two := wakefilter.Rules{MinKnocks: 2, Window: time.Minute}
	f := sleeper()
	k := wakefilter.Knock{At: evening, From: alice}
	f.Check(&two, k)
	f.SetAtRest(evening, false)
	f.SetAtRest(evening, true)
	if got := judged(f.Check(&two, k)); got != "min_knocks" {
		t.Errorf("the first knock of the next sleep: %q", got)
	}
}

func source(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

// However many sources are invented, no more knocks are kept than there is room
// for; then the machine wakes, for the client among them as well.
func TestInventedSources(t *testing.T) {
	two := wakefilter.Rules{MinKnocks: 2, Window: 10 * time.Second}
	f := sleeper()
	suppressed := uint32(0)
	for n := range uint32(10_000) {
		if _, yes := f.Check(&two, wakefilter.Knock{At: evening, From: source(n)}); yes {
			suppressed++
		}
	}
	if suppressed != 256 {
		t.Errorf("%d suppressed, want as many as there is room for, 256", suppressed)
	}
	if got := judged(f.Check(&two, wakefilter.Knock{At: evening.Add(time.Second), From: alice, Opens: true})); got != "" {
		t.Errorf("a client in the flood: %q", got)
	}
	// The flood is over, and with it the excuse.
	if got := judged(f.Check(&two, wakefilter.Knock{At: evening.Add(time.Minute), From: bob, Opens: true})); got != "min_knocks" {
		t.Errorf("a stray scan after the flood: %q", got)
	}
}

// A slow scan from everywhere never wakes, however long it goes on, and leaves no
// memory behind.
func TestSlowScan(t *testing.T) {
	two := wakefilter.Rules{MinKnocks: 2, Window: 10 * time.Second}
	f := sleeper()
	for n := range uint32(10_000) {
		at := evening.Add(time.Duration(n) * 100 * time.Millisecond)
		if got := judged(f.Check(&two, wakefilter.Knock{At: at, From: source(n), Opens: true})); got != "min_knocks" {
			t.Fatalf("knock %d: %q", n, got)
		}
	}
}

// Against a plain account of all knocks: a knock wakes if its source has made as
// many within the window, and otherwise not.
func TestAgainstAPlainAccount(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		rules := wakefilter.Rules{MinKnocks: 2 + random.IntN(5), Window: time.Duration(1+random.IntN(20)) * time.Second}
		f := sleeper()
		all := make(map[netip.Addr][]time.Time)
		at := evening
		for range 300 {
			at = at.Add(time.Duration(random.IntN(3000)) * time.Millisecond)
			from := source(uint32(random.IntN(4)))
			n := 1
			for _, before := range all[from] {
				if at.Sub(before) < rules.Window {
					n++
				}
			}
			got := judged(f.Check(&rules, wakefilter.Knock{At: at, From: from}))
			if want := n >= rules.MinKnocks; (got == "") != want {
				t.Fatalf("seed %d: knock %d of %d: %q", seed, n, rules.MinKnocks, got)
			}
			if got == "" {
				f.SetAtRest(evening, false) // it wakes, and sleeps again
				f.SetAtRest(evening, true)
				clear(all)
				continue
			}
			all[from] = append(all[from], at)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	two := wakefilter.Rules{MinKnocks: 2, Window: time.Second}
	f := sleeper()
	var all sync.WaitGroup
	for n := range uint32(4) {
		all.Go(func() {
			for i := range 500 {
				at := evening.Add(time.Duration(i) * time.Second)
				if why, yes := f.Check(&two, wakefilter.Knock{At: at, From: source(n)}); yes {
					f.CountIgnored(machine.Ignored{Reason: why, Service: at80}, at)
				}
			}
		})
	}
	all.Go(func() {
		for range 500 {
			f.SetAtRest(evening, true)
			f.Suppressed()
			f.Ignored()
			f.TakeUnreported(evening)
		}
	})
	all.Wait()
	if got := f.Suppressed(); got[machine.TooFewKnocks] == 0 {
		t.Errorf("counted %v", got)
	}
}

func TestRulesNone(t *testing.T) {
	for _, c := range []struct {
		rules wakefilter.Rules
		want  bool
	}{
		{wakefilter.Rules{}, true},
		{wakefilter.Rules{MinKnocks: 1, Window: time.Hour}, true},
		{wakefilter.Rules{MinKnocks: 2, Window: time.Hour}, false},
		{wakefilter.Rules{MinKnocks: 1, Quiet: wakefilter.Hours{{From: 0, To: 1}}}, false},
		{wakefilter.Rules{MinKnocks: 1, Cooldown: 1}, false},
	} {
		if got := c.rules.None(); got != c.want {
			t.Errorf("%+v: %t", c.rules, got)
		}
	}
}

func TestReasonsAreNames(t *testing.T) {
	var names []string
	for _, why := range machine.Suppressions {
		text, err := why.MarshalText()
		if err != nil {
			t.Error(err)
		}
		names = append(names, string(text))
	}
	names = append(names, machine.Suppression(9).String())
	if got := strings.Join(names, " "); got != "min_knocks quiet_hours cooldown failed_wakes local port source ping established suppression(9)" {
		t.Errorf("reasons %q", got)
	}
}

// BenchmarkSuppress is what a knock costs its reader where rules hold, with as
// many knocks in mind as there is room for.
func BenchmarkSuppress(b *testing.B) {
	rules := wakefilter.Rules{MinKnocks: 10, Window: 10 * time.Second, Quiet: wakefilter.Hours{{From: 1, To: 2}}, Cooldown: time.Second}
	f := sleeper()
	for n := range uint32(255) {
		f.Check(&rules, wakefilter.Knock{At: evening, From: source(n), Opens: true})
	}
	b.ReportAllocs()
	for b.Loop() {
		f.Check(&rules, wakefilter.Knock{At: evening, From: alice, Opens: true})
	}
}
