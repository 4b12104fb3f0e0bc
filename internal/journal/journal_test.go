package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"nightporter/internal/machine"
)

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir() + "/new/state"
	j, past, _ := opened(t, dir)
	same(t, "the past of a new journal", past, Past{})
	before := time.Now()
	first := memoryOf(2)
	j.Append(Record{Memory: first})
	j.Append(Record{Memory: memoryOf(1)})
	j.Append(Record{Memory: memoryOf(3)})
	changed := memoryOf(2)
	changed.State, changed.Tally.Attempts = machine.Waking, 77
	if seq := j.Append(Record{Event: fullEvent(), Memory: changed}); seq != 1 {
		t.Errorf("the first event has Seq %d, want 1", seq)
	}
	j.Append(Record{Event: Event{Kind: Forgotten, At: night}, Forgotten: macOf(3)})
	j.Append(Record{Event: Event{Kind: Refused, Reason: "why"}})
	closed(t, j)

	j, past, l := opened(t, dir)
	event := fullEvent()
	event.Seq = 1
	if past.Seen.Before(before.Truncate(0)) || past.Seen.After(time.Now()) {
		t.Errorf("seen %v, want the time of the write", past.Seen)
	}
	if past.Until != past.Seen {
		t.Errorf("a run that ended in order lasted until %v at most, want %v", past.Until, past.Seen)
	}
	past.Seen, past.Until = time.Time{}, time.Time{}
	same(t, "past", past, Past{
		Machines: []machine.Memory{*memoryOf(1), *changed},
		Events:   []Event{event, {Seq: 2, Kind: Forgotten, At: night}, {Seq: 3, Kind: Refused, Reason: "why"}},
	})
	if seq := j.Append(Record{Event: Event{Kind: Asleep}}); seq != 4 {
		t.Errorf("after a restart the next Seq is %d, want 4", seq)
	}
	if got := l.lines("level="); len(got) > 0 {
		t.Errorf("log of an ordinary start: %q", got)
	}
	info, err := os.Stat(fileIn(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v, want 0600", info.Mode(), err)
	}
	if info, err = os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory %v, error %v, want 0700", info.Mode(), err)
	}
}

// What the lines look like is a promise to every other version.
func TestFormat(t *testing.T) {
	var got strings.Builder
	b, err := encode(&batch{lines: []line{
		{event: Event{Kind: Magic, Seq: 9, At: night, Attempts: 2, Boot: 1500 * time.Millisecond}, memory: *memoryOf(1), carries: newestMemory},
		{forgotten: macOf(2), carries: removal},
		{carries: theEnd},
	}}, stamp{wall: night, boot: "1a2b3c4d", up: 90 * time.Second}, headerLine())
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if i > 0 {
			raw, err := recordIn([]byte(l))
			if err != nil {
				t.Fatal(err)
			}
			l = string(raw)
		}
		fmt.Fprintln(&got, l)
	}
	same(t, "lines", got.String(), `{"nightporter_journal":1}
{"at":"2025-11-22T22:00:00.123456789Z","boot":"1a2b3c4d","up":"1m30s",`+
		`"event":{"seq":9,"at":"2025-11-22T22:00:00.123456789Z","kind":"magic","attempts":2,"boot_seconds":1.5},`+
		`"machine":{"mac":"02:77:00:00:00:01","wake_mac":"d8:cb:8a:00:00:01","name":"machine-1 é","monitor":[{"ip":"10.77.0.1","ports":["22/tcp","icmp"]},{"ip":"fd77::20","mac":"52:54:00:00:00:01"}],`+
		`"idle_watts":52.5,"sleep_watts":2,"password":"01020304","secret":"00903b35b33dc80d9058e53bea6d93acca59e2dbd81e4dd47a346422c51729f2","wake_from":["10.77.0.0/16"],"agentless":true,"unwatched":true,"state":"asleep",`+
		`"since":"2025-11-22T22:00:00.123456789Z","last_wake":"2025-11-22T21:00:00.123456789Z",`+
		`"wake":{"trigger":"udp","ip":"10.77.0.20","port":"53/udp","source":"[fd77::9]:40000","by":"automation","outcome":"ready","magic_packets":2,`+
		`"boot":"12.345678s","ready":"15s","test":true},"takes":{"boot":"44s","services":"1m0s"},"registered":"2025-11-22T21:59:59.123456789Z","heard":"2025-11-22T21:59:58.123456789Z",`+
		`"tally":{"magic_packets":1,"wakes":{"udp":5},"failures":{"schedule":6},"hand_starts":2,"conflicts":3,"settle_timeouts":4,`+
		`"slept":"1000h0m0.000000007s","saved_joules":180000000},"diary":{"2025-11-20":"25h0m0s","2025-11-22":"7ns"},"knocks":{"22/tcp":5,"icmp":6},"card_answers":true,`+
		`"unproved":["fd77::20"],"others":["10.77.0.77"],"failed_in_a_row":7,"paused_until":"2025-11-22T23:00:00.123456789Z","counted_since":"2025-11-19T22:00:00.123456789Z","name_of_entry":true}}
{"at":"2025-11-22T22:00:00.123456789Z","boot":"1a2b3c4d","up":"1m30s","forgotten":"02:77:00:00:00:02"}
{"at":"2025-11-22T22:00:00.123456789Z","boot":"1a2b3c4d","up":"1m30s","end":true}
`)
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := opened(t, dir)
	_, _, err := Open(dir, (&logged{}).logger())
	if err == nil || !strings.Contains(err.Error(), "in use by another nightporter") {
		t.Fatalf("a second journal in the same place: error %v", err)
	}
	closed(t, j)
	j, _, _ = opened(t, dir)
	closed(t, j)
	if err := j.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	j.Append(Record{Memory: memoryOf(1)})
	if err := trySync(t, j); !errors.Is(err, ErrClosed) {
		t.Errorf("sync after the end: %v", err)
	}
}

func TestEvents(t *testing.T) {
	j, _, _ := opened(t, t.TempDir())
	const n = maxEvents + 500
	for i := range n {
		j.Append(Record{Event: Event{Kind: Knock, Machine: []string{"nas", "pc"}[i%2]}})
	}
	for _, c := range []struct {
		since          uint64
		machine        string
		limit          int
		count          int
		oldest, newest uint64
	}{
		{0, "", 0, maxEvents, n - maxEvents + 1, n},
		{n - 3, "", 0, 3, n - 2, n},
		{n, "", 0, 0, 0, 0},
		{0, "", 5, 5, n - 4, n},
		{n - 10, "nas", 0, 5, n - 9, n - 1},
		{n - 10, "pc", 2, 2, n - 2, n},
		{0, "unknown", 0, 0, 0, 0},
	} {
		got := j.Events(c.since, c.machine, c.limit)
		if len(got) != c.count || c.count > 0 && (got[0].Seq != c.oldest || got[c.count-1].Seq != c.newest) {
			t.Errorf("Events(%d, %q, %d): %d events, want %d from %d to %d", c.since, c.machine, c.limit, len(got), c.count, c.oldest, c.newest)
		}
	}
}

func TestTextBounded(t *testing.T) {
	j, _, _ := opened(t, t.TempDir())
	long := strings.Repeat("é", 10_000)
	j.Append(Record{Event: Event{Kind: Refused, Machine: long, Service: "x" + long, Trigger: long, By: long, Reason: "\xff" + long}})
	e := j.Events(0, "", 0)[0]
	for _, s := range []string{e.Machine, e.Service, e.Trigger, e.By, e.Reason} {
		if len(s) > maxText+3 || len(s) < maxText-3 || !utf8.ValidString(s) || !strings.HasSuffix(s, "…") {
			t.Errorf("%d bytes, valid: %v; want about %d", len(s), utf8.ValidString(s), maxText)
		}
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, _, _ := opened(t, t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		quick, slow, last := j.Follow(ctx), j.Follow(t.Context()), j.Follow(t.Context())
		for i := range 2 * followerRoom {
			j.Append(Record{Event: Event{Kind: Magic}})
			if e := <-quick; e.Seq != uint64(i+1) {
				t.Fatalf("got Seq %d, want %d", e.Seq, i+1)
			}
		}
		for range followerRoom {
			<-slow
		}
		j.Append(Record{Event: Event{Kind: Magic}})
		if e := <-slow; e.Seq != 2*followerRoom+1 {
			t.Errorf("after a gap: Seq %d, want %d", e.Seq, 2*followerRoom+1)
		}
		<-quick
		cancel()
		synctest.Wait()
		if _, ok := <-quick; ok {
			t.Error("the channel is open after its context has ended")
		}
		closed(t, j)
		for range followerRoom {
			<-last
		}
		if _, ok := <-last; ok {
			t.Error("the channel is open after the journal was closed")
		}
		if _, ok := <-j.Follow(t.Context()); ok {
			t.Error("a closed journal can be followed")
		}
	})
}

// A file that has grown too long is replaced by one with what still counts.
func TestCompacted(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := opened(t, dir)
	longest := int64(0)
	const rounds = 6000
	for i := range rounds {
		m := memoryOf(i % 3)
		m.Tally.Attempts = uint64(i)
		j.Append(Record{Event: fullEvent(), Memory: m})
		if i%20 == 0 {
			synced(t, j)
			info, err := os.Stat(fileIn(dir))
			if err != nil {
				t.Fatal(err)
			}
			longest = max(longest, info.Size())
		}
	}
	closed(t, j)
	if longest > minLimit || longest < minLimit/2 {
		t.Errorf("the file was up to %d bytes long, want nearly %d", longest, minLimit)
	}
	_, past, _ := opened(t, dir)
	if n := len(past.Events); n != maxEvents || past.Events[n-1].Seq != rounds {
		t.Errorf("%d events up to %d, want %d up to %d", n, past.Events[n-1].Seq, maxEvents, rounds)
	}
	for i, m := range past.Machines {
		if m.Tally.Attempts != uint64(rounds-3+i) {
			t.Errorf("machine %d is at %d, want %d", i, m.Tally.Attempts, rounds-3+i)
		}
	}
	if len(past.Machines) != 3 {
		t.Errorf("%d machines, want 3", len(past.Machines))
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left in the directory: %v", left)
	}
}

func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := opened(t, dir)
	var all sync.WaitGroup
	const writers, rounds = 8, 50
	for w := range writers {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			follow := j.Follow(ctx)
			for i := range rounds {
				m := memoryOf(w)
				m.Tally.Attempts = uint64(i)
				seq := j.Append(Record{Event: Event{Kind: Magic, Machine: m.Spec.Name}, Memory: m})
				if i%10 == 9 {
					if err := trySync(t, j); err != nil {
						t.Error(err)
					}
				}
				if e := j.Events(seq-1, m.Spec.Name, 0); len(e) == 0 || e[0].Seq != seq {
					t.Errorf("event %d is not there", seq)
				}
				<-follow
			}
		})
	}
	all.Wait()
	closed(t, j)
	_, past, _ := opened(t, dir)
	if len(past.Machines) != writers || len(past.Events) != writers*rounds {
		t.Errorf("%d machines, %d events; want %d and %d", len(past.Machines), len(past.Events), writers, writers*rounds)
	}
	for _, m := range past.Machines {
		if m.Tally.Attempts != rounds-1 {
			t.Errorf("%s is at %d, want %d", m.Spec.Name, m.Tally.Attempts, rounds-1)
		}
	}
}
