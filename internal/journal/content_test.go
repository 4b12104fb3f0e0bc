package journal

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"nightporter/internal/machine"
)

// written returns the content of a journal with so many machines, an event each.
func written(tb testing.TB, machines int) []byte {
	tb.Helper()
	b := &batch{}
	for i := range machines {
		e := fullEvent()
		e.Seq = uint64(i + 1)
		b.lines = append(b.lines, line{event: e, memory: *memoryOf(i), carries: newestMemory})
	}
	content, err := encode(b, hostClock()(), headerLine())
	if err != nil {
		tb.Fatal(err)
	}
	return content
}

// TestTorn cuts a file at every byte of its last three lines: what came before
// counts, and the journal goes on behind it.
func TestTorn(t *testing.T) {
	content := written(t, 6)
	start := len(content)
	for range 3 {
		start = bytes.LastIndexByte(content[:start-1], '\n') + 1
	}
	dir := t.TempDir()
	for cut := start; cut <= len(content); cut++ {
		whole := bytes.Count(content[:cut], []byte("\n")) - 1
		torn := content[cut-1] != '\n'
		c := read(bytes.NewReader(content[:cut]))
		if len(c.machines) != whole || c.fault != nil || (c.torn > 0) != torn || c.sound+c.torn != int64(cut) {
			t.Fatalf("cut at %d: %d machines, fault %v, %d bytes torn; want %d", cut, len(c.machines), c.fault, c.torn, whole)
		}
		// The rest is the same for each byte within a line.
		atEnd := !torn || content[cut-2] == '\n' || content[cut] == '\n'
		if !atEnd && cut%29 != 0 {
			continue
		}
		put(t, dir, content[:cut])
		j, past, l := opened(t, dir)
		if len(past.Machines) != whole || len(past.Events) != whole || past.SetAside != "" {
			t.Fatalf("cut at %d: %d machines, %d events, set aside %q; want %d of each", cut, len(past.Machines), len(past.Events), past.SetAside, whole)
		}
		if told := len(l.lines("level=")); told != len(l.lines("journal_torn")) || (told == 1) != torn || told > 1 {
			t.Fatalf("cut at %d: log %q", cut, l.lines(""))
		}
		j.Append(Record{Memory: memoryOf(100)})
		closed(t, j)
		j, past, l = opened(t, dir)
		if len(past.Machines) != whole+1 || len(l.lines("level=")) > 0 {
			t.Fatalf("cut at %d: %d machines after one more, want %d; log %q", cut, len(past.Machines), whole+1, l.lines(""))
		}
		closed(t, j)
	}
}

func TestUnfit(t *testing.T) {
	good := written(t, 6)
	lines := strings.SplitAfter(string(good), "\n")
	flip := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	hole := len(lines[0]+lines[1]) - 60
	inLine := func(n int) int { return len(strings.Join(lines[:n], "")) + 40 }
	newState := strings.Replace(string(good), `"state":"asleep"`, `"state":"adream"`, 1)
	for _, c := range []struct {
		name     string
		content  []byte
		machines int
		why      string
	}{
		{"a bit in the middle", flip(inLine(3)), 5, "line 4: checksum"},
		{"a bit in the last line", flip(inLine(6)), 5, "line 7: checksum"},
		{"a bit in the header", flip(5), 6, "line 1: not the header"},
		{"a sector of zeros", append(append(bytes.Clone(good[:hole]), make([]byte, 512)...), good[hole+512:]...), 4, "line 2: "},
		{"damaged and torn", flip(inLine(3))[:len(good)-9], 4, "line 4: checksum"},
		{"a line missing its end", []byte(strings.Replace(string(good), "\n{", "{", 1)), 5, "line 1: "},
		{"foreign text", []byte("Dear diary,\ntoday\n"), 0, "line 1: not the header"},
		{"foreign text without an end", []byte("Dear diary"), 0, "line 1: not the header"},
		{"foreign JSON", []byte(`{"machines":[]}` + "\n"), 0, "line 1: not the header"},
		{"a program", append([]byte{0x7f, 'E', 'L', 'F'}, make([]byte, 100_000)...), 0, "line 1: not the header"},
		{"an endless line", append(bytes.Clone(good), make([]byte, maxLine+1)...), 6, "line 8: longer than"},
		{"newer", bytes.Replace(good, []byte(`:1}`), []byte(`:2}`), 1), 0, "found 2, expected 1"},
		{"older", bytes.Replace(good, []byte(`:1}`), []byte(`:0}`), 1), 0, "found 0, expected 1"},
		{"a state of tomorrow", resummed(newState), 5, `found \"adream\", expected one of [awake`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, c.content)
			j, past, l := opened(t, dir)
			if len(past.Machines) != c.machines {
				t.Errorf("%d machines, want %d", len(past.Machines), c.machines)
			}
			if told := l.lines("unfit"); len(told) != 1 || !strings.Contains(told[0], c.why) || !strings.Contains(told[0], past.SetAside) {
				t.Errorf("log %q, want one line with %q and %q", told, c.why, past.SetAside)
			}
			if aside, err := os.ReadFile(past.SetAside); err != nil || !bytes.Equal(aside, c.content) {
				t.Errorf("set aside are %d bytes, error %v, want the %d", len(aside), err, len(c.content))
			}
			// What was read is already safe, and the journal can be gone on with.
			if got := read(bytes.NewReader(contentOf(t, dir))); len(got.machines) != c.machines || got.fault != nil || got.torn > 0 {
				t.Errorf("the new file has %d machines, fault %v", len(got.machines), got.fault)
			}
			j.Append(Record{Memory: memoryOf(100)})
			closed(t, j)
			_, past, _ = opened(t, dir)
			if len(past.Machines) != c.machines+1 || past.SetAside != "" {
				t.Errorf("then %d machines, set aside %q", len(past.Machines), past.SetAside)
			}
		})
	}
}

// resummed makes the checksums right.
func resummed(content string) []byte {
	var b []byte
	for i, l := range strings.Split(strings.TrimSuffix(content, "\n"), "\n") {
		if i > 0 {
			raw := l[recordStart : len(l)-1]
			l = fmt.Sprintf("%s%08x%s%s%c", beforeSum, checksum([]byte(raw)), beforeRecord, raw, afterRecord)
		}
		b = append(append(b, l...), '\n')
	}
	return b
}

// Such files lose nothing, so that nothing is logged.
func TestAlmostNothing(t *testing.T) {
	for _, content := range []string{"", string(headerLine()), `{"nightp`, strings.TrimSpace(string(headerLine()))} {
		dir := t.TempDir()
		put(t, dir, []byte(content))
		j, past, l := opened(t, dir)
		if past.SetAside != "" || len(past.Machines) != 0 || len(l.lines("unfit")) > 0 {
			t.Errorf("%q: past %+v, log %q", content, past, l.lines(""))
		}
		j.Append(Record{Memory: memoryOf(1)})
		closed(t, j)
		if _, past, _ = opened(t, dir); len(past.Machines) != 1 {
			t.Errorf("%q: %d machines after one was written", content, len(past.Machines))
		}
	}
}

// TestNewerAdditions: what a newer version adds does not hurt an older one.
func TestNewerAdditions(t *testing.T) {
	s := strings.ReplaceAll(string(written(t, 3)), `"name":`, `"colour":{"r":1},"name":`)
	s = strings.ReplaceAll(s, `"wakes":{`, `"wakes":{"moon":7,`)
	s = strings.ReplaceAll(s, `"kind":"knock"`, `"kind":"snore","pitch":440`)
	dir := t.TempDir()
	put(t, dir, resummed(s))
	_, past, l := opened(t, dir)
	if len(past.Machines) != 3 || past.Events[2].Kind != "snore" || len(l.lines("level=")) > 0 {
		t.Errorf("%d machines, events %+v, log %q", len(past.Machines), past.Events, l.lines(""))
	}
	same(t, "machine", past.Machines[2], *memoryOf(2))
}

// What follows the history goes by Seq, so that has to rise.
func TestDisorder(t *testing.T) {
	b := &batch{}
	for _, seq := range []uint64{4, 2, 4, 5} {
		b.lines = append(b.lines, line{event: Event{Kind: Magic, Seq: seq}})
	}
	content, err := encode(b, hostClock()(), headerLine())
	if err != nil {
		t.Fatal(err)
	}
	c := read(bytes.NewReader(content))
	same(t, "events", c.events.newest(0, "", 0), []Event{{Kind: Magic, Seq: 4}, {Kind: Magic, Seq: 5}})
}

func TestFewSetAside(t *testing.T) {
	dir := t.TempDir()
	var last string
	for i := range maxAside + 3 {
		put(t, dir, fmt.Appendf(nil, "foreign %d\n", i))
		j, past, _ := opened(t, dir)
		closed(t, j)
		last = past.SetAside
	}
	d := folder{path: dir}
	left, err := d.named(fileName, ".bad")
	if err != nil || len(left) != maxAside || !slices.Contains(left, last) {
		t.Errorf("set aside are %q, error %v; want %d with %s", left, err, maxAside, last)
	}
	b, err := os.ReadFile(left[0])
	if err != nil || string(b) != fmt.Sprintf("foreign %d\n", 3) {
		t.Errorf("the oldest of them is %q, error %v", b, err)
	}
}

// Something other than a regular file does not stop the porter either.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(fileIn(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	j, past, _ := opened(t, dir)
	if info, err := os.Stat(past.SetAside); err != nil || !info.IsDir() {
		t.Errorf("set aside %q: %v", past.SetAside, err)
	}
	j.Append(Record{Memory: memoryOf(1)})
	synced(t, j)
}

// What a killed process left half made is removed.
func TestSwept(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/."+fileName+"123", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	opened(t, dir)
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("in the directory: %v", left)
	}
}

func FuzzRead(f *testing.F) {
	good := written(f, 3)
	f.Add([]byte(nil))
	f.Add(good)
	f.Add(good[:len(good)-20])
	f.Add(append(bytes.Clone(good[:200]), good[300:]...))
	f.Add(resummed(strings.ReplaceAll(string(good), `asleep`, `waking`)))
	f.Add(resummed(strings.Replace(string(good), `"machine":`, `"timeline":{"spans":"a99 s4294967295 w9","more_wakes":[{"first":"2025-11-20T20:00:00Z","wakes":5}]},"machine":`, 2)))
	f.Add(headerLine())
	f.Add([]byte(`{"nightporter_journal":2}` + "\n"))
	f.Add([]byte("Dear diary\n\x00\x00"))
	f.Add(resummed(`{"nightporter_journal":1}` + "\n" + beforeSum + `00000000` + beforeRecord +
		`{"event":{"seq":18446744073709551615,"slept_seconds":-1e300,"source":"[::1%eth0]:1"},"forgotten":"02:00:00:00:00:00"}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Checksums keep the fuzzer from everything behind them.
		for _, input := range [][]byte{b, forged(b)} {
			c := read(bytes.NewReader(input))
			if c.sound+c.torn > int64(len(input)) || c.fault == nil && c.sound+c.torn != int64(len(input)) {
				t.Fatalf("%d bytes sound, %d torn, of %d; fault %v", c.sound, c.torn, len(input), c.fault)
			}
			// What was believed once is believed again.
			s := newState(c)
			first, err := encode(s.everything(), hostClock()(), headerLine())
			if err != nil {
				t.Fatal(err)
			}
			again := read(bytes.NewReader(first))
			if again.fault != nil || again.torn > 0 {
				t.Fatalf("what was read cannot be read again: %v, torn %d, in\n%s", again.fault, again.torn, first)
			}
			same(t, "machines", again.machines, c.machines)
			same(t, "events", again.events.newest(0, "", 0), c.events.newest(0, "", 0))
			now := hostClock()()
			c.onClock(now)
			late := now.wall.Add(clockSlack)
			for _, m := range c.machines {
				if err := checkSpec(&m.Spec); err != nil || machine.CheckName(m.Spec.Name) != nil {
					t.Fatalf("%+v is believed, although no registration could say so: %v", m.Spec, err)
				}
				if m.Since.After(late) || m.Registered.After(late) || m.LastWake.At.After(late) || m.Tally.Slept < 0 || len(m.SleepLog) > 8 || m.Tally.SavedJoules < 0 {
					t.Fatalf("%+v is to come, or less than nothing", m)
				}
			}
			for _, tl := range c.timelines {
				checkTimeline(t, tl)
				checkHistory(t, tl.history(c.base, now.wall), now.wall)
			}
			if c.seen.After(now.wall) || c.until.After(now.wall) || c.until.Before(c.seen) {
				t.Fatalf("seen %v, until %v", c.seen, c.until)
			}
		}
	})
}

// forged puts each line of b under a checksum, behind a header.
func forged(b []byte) []byte {
	out := headerLine()
	for l := range bytes.Lines(b) {
		l = bytes.TrimSuffix(l, []byte("\n"))
		if raw, err := recordIn(l); err == nil {
			l = raw
		}
		out = fmt.Appendf(out, "%s%08x%s%s%c\n", beforeSum, checksum(l), beforeRecord, l, afterRecord)
	}
	return out
}
