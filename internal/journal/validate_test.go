package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nightporter/internal/ether"
)

// forgedRecord returns a sound journal of three machines, in which the record of the second
// is changed, under a right checksum.
func forgedRecord(t *testing.T, pattern, with string) []byte {
	t.Helper()
	lines := strings.SplitAfter(string(written(t, 3)), "\n")
	changed := regexp.MustCompile(pattern).ReplaceAllString(lines[2], with)
	if changed == lines[2] {
		t.Fatalf("%s is not in %s", pattern, lines[2])
	}
	lines[2] = changed
	return resummed(strings.Join(lines, ""))
}

// TestAttackByAForgedRecord: who can write to the journal puts in a machine that no
// registration could: it is left out with a line in the log and an event, and the
// others stay. It is not told of again at the next start.
func TestAttackByAForgedRecord(t *testing.T) {
	const mac, ip, watts = `"mac":"02:77:00:00:00:01"`, `"ip":"10\.77\.0\.1"`, `"idle_watts":52\.5`
	for name, c := range map[string]struct{ pattern, with, why string }{
		"a group's MAC":             {mac, `"mac":"01:00:5e:00:00:01"`, "mac: found 01:00:5e:00:00:01"},
		"the broadcast MAC":         {mac, `"mac":"ff:ff:ff:ff:ff:ff"`, "mac: found ff:ff:ff:ff:ff:ff"},
		"a MAC of zeros":            {mac, `"mac":"00:00:00:00:00:00"`, "mac: found 00:00:00:00:00:00"},
		"a group's wake MAC":        {`"wake_mac":"[^"]*"`, `"wake_mac":"33:33:00:00:00:01"`, "wake_mac: found 33:33:00:00:00:01"},
		"a guest that is itself":    {`"mac":"52:54:[^"]*"`, mac, "monitor[1].mac: found 02:77:00:00:00:01"},
		"a guest of a group":        {`"mac":"52:54:[^"]*"`, `"mac":"ff:ff:ff:ff:ff:ff"`, "monitor[1].mac: found ff:ff:ff:ff:ff:ff"},
		"a zone":                    {ip, `"ip":"fe80::1%eth0"`, `monitor[0].ip: found \"fe80::1%eth0\"`},
		"a mapped loopback":         {ip, `"ip":"::ffff:127.0.0.1"`, `monitor[0].ip: found \"127.0.0.1\"`},
		"the unspecified address":   {ip, `"ip":"::"`, `monitor[0].ip: found \"::\"`},
		"a multicast address":       {ip, `"ip":"224.0.0.1"`, `monitor[0].ip: found \"224.0.0.1\"`},
		"the broadcast address":     {ip, `"ip":"255.255.255.255"`, `monitor[0].ip: found \"255.255.255.255\"`},
		"no address":                {ip, `"ip":""`, `monitor[0].ip: found \"invalid IP\"`},
		"an address twice":          {ip, `"ip":"fd77::20"`, "monitor[1].ip: found fd77::20 again"},
		"no addresses":              {`"monitor":\[.*?\}\],(.*)"agentless":true`, `${1}"agentless":false`, "monitor: found no address"},
		"more watts than there are": {watts, `"idle_watts":1e308`, "idle_watts: found 1e+308"},
		"negative watts":            {watts, `"idle_watts":-1`, "idle_watts: found -1"},
		"watts that grow in sleep":  {`"sleep_watts":2`, `"sleep_watts":53`, "sleep_watts: found 53"},
		"half a password":           {`"password":"01020304"`, `"password":"010203"`, "password: found 3 bytes"},
		"a prefix that is none":     {`"wake_from":\["10.77.0.0/16"\]`, `"wake_from":[""]`, "wake_from: found an invalid prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, forgedRecord(t, c.pattern, strings.ReplaceAll(c.with, `\.`, ".")))
			j, past, l := opened(t, dir)
			if len(past.Machines) != 2 || past.Machines[0].Spec.MAC != macOf(0) || past.Machines[1].Spec.MAC != macOf(2) {
				t.Errorf("%d machines, want the first and the last", len(past.Machines))
			}
			if told := l.lines("event=record_left_out"); len(told) != 1 || !strings.Contains(told[0], c.why) {
				t.Errorf("log %q, want one line with %q", told, c.why)
			}
			events := j.Events(0, "", 0)
			if last := events[len(events)-1]; len(events) != 3 || last.Kind != Forgotten || !strings.Contains(last.Reason, strings.ReplaceAll(c.why, `\`, "")) || last.Machine != "machine-1 é" {
				t.Errorf("%d events, the last one %+v", len(events), last)
			}
			closed(t, j)
			_, past, l = opened(t, dir)
			if told := l.lines("level=WARN"); len(past.Machines) != 2 || len(told) > 0 {
				t.Errorf("then %d machines, log %q", len(past.Machines), told)
			}
		})
	}
}

// TestAttackByAForgedLabel: a name or a figure that no registration could have said
// does not cost the machine its claim: the porter gives it another name, and figures are
// kept within what can be.
func TestAttackByAForgedLabel(t *testing.T) {
	for _, name := range []string{"", `a\nb`, `\u001b[31mred`, `a\u202eb`, "../nas", strings.Repeat("x", 65)} {
		c := read(bytes.NewReader(forgedRecord(t, `"name":"[^"]*"`, `"name":"`+name+`"`)))
		if m, known := c.machines[macOf(1)]; !known || c.fault != nil || len(m.Spec.Monitor) == 0 {
			t.Errorf("%q: the machine is known: %t, fault %v", name, known, c.fault)
		}
	}
	c := read(bytes.NewReader(forgedRecord(t, `"saved_joules":180000000`, `"saved_joules":1e308`)))
	if got := c.machines[macOf(1)].Tally.SavedJoules; got != mostJoules {
		t.Errorf("%v joules were saved, want %v", got, mostJoules)
	}
	c = read(bytes.NewReader(forgedRecord(t, `"boot":"44s"`, `"boot":"2000000h"`)))
	if got := c.machines[macOf(1)].BootTimes.Boot; got != longestTaken {
		t.Errorf("it takes %v to boot, want %v", got, longestTaken)
	}
	c = read(bytes.NewReader(forgedRecord(t, `"ports":\["22/tcp"`, `"ports":["22/tcp","22/tcp"`)))
	if got := c.machines[macOf(1)].Spec.Monitor[0].Ports; len(got) != 2 {
		t.Errorf("it has the ports %v, want each once", got)
	}
	c = read(bytes.NewReader(forgedRecord(t, `"reason":"r"`, `"reason":"`+strings.Repeat("r", maxText+1)+`"`)))
	for e := range c.events.all {
		if len(e.Reason) > maxText {
			t.Errorf("an event has a reason of %d bytes", len(e.Reason))
		}
	}
}

// TestAttackByManyForgedRecords: a journal full of them is no flood of log lines and
// events.
func TestAttackByManyForgedRecords(t *testing.T) {
	var b strings.Builder
	lines := strings.SplitAfter(string(written(t, 1)), "\n")
	b.WriteString(lines[0])
	for i := range 1000 {
		bad := ether.MAC{1, 0, 0, 0, byte(i >> 8), byte(i)}
		b.WriteString(strings.Replace(lines[1], macOf(0).String(), bad.String(), 2))
	}
	dir := t.TempDir()
	put(t, dir, resummed(b.String()))
	j, past, l := opened(t, dir)
	if told := l.lines("record_left_out"); len(past.Machines) != 0 || len(told) != maxLeftOut {
		t.Errorf("%d machines, %d lines, want %d", len(past.Machines), len(told), maxLeftOut)
	}
	if n := len(j.Events(0, "", 0)); n != maxLeftOut {
		t.Errorf("%d events, want %d", n, maxLeftOut)
	}
}

// TestAttackByALink: who can write to the state directory has the porter read and
// write another file. It does not start, and touches nothing.
func TestAttackByALink(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	content := written(t, 1)
	if err := os.WriteFile(other, content, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	link := filepath.Join(dir, fileName)
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	_, _, err := Open(dir, (&logged{}).logger())
	if want := link + " is a symbolic link: expected a regular file"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	if got, err := os.ReadFile(other); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the other file has changed: %v", err)
	}
	// One that comes later than the first look is not followed either.
	d := &folder{path: dir, most: maxRead}
	if f, err := d.open(); err == nil {
		f.Close()
		t.Error("a link was opened to be written to")
	}
}

// TestAttackThroughOpenFiles: a state directory or journal that others can write to is
// warned of at the start, once each.
func TestAttackThroughOpenFiles(t *testing.T) {
	for _, c := range []struct {
		dir, file os.FileMode
		want      int
	}{{0o700, 0o600, 0}, {0o755, 0o644, 0}, {0o777, 0o600, 1}, {0o770, 0o600, 1}, {0o700, 0o666, 1}, {0o777, 0o660, 2}} {
		t.Run(fmt.Sprintf("%o and %o", c.dir, c.file), func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, written(t, 1))
			if err := os.Chmod(dir, c.dir); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(dir, fileName), c.file); err != nil {
				t.Fatal(err)
			}
			j, past, l := opened(t, dir)
			if told := l.lines("event=journal_exposed"); len(told) != c.want || len(past.Machines) != 1 {
				t.Errorf("%d machines, log %q, want %d lines", len(past.Machines), told, c.want)
			}
			closed(t, j)
		})
	}
}
