package e2e

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"nightporter/internal/machine"
)

// TestFaultClockJournal: a journal was written with a wrong clock. The machines in it have
// slept no longer than is possible, and they are claimed and woken.
func TestFaultClockJournal(t *testing.T) {
	h := open(t, fastProbe)
	began := time.Now()
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	h.waitStored("asleep", 1)
	h.daemon.Kill()
	file := filepath.Join(h.daemon.Dir(), "journal.jsonl")
	left, err := os.ReadFile(file)
	h.must(err)

	const elsewhere, nowhere = `"boot":"ffffffff"`, ""
	at := func(year int) string { return fmt.Sprintf(`"at":"%d-01-02T03:04:05Z"`, year) }
	since := func(year int) string { return fmt.Sprintf(`"since":"%d-01-02T03:04:05Z"`, year) }
	heard := func(year int) string { return fmt.Sprintf(`"heard":"%d-01-02T03:04:05Z"`, year) }
	for _, c := range []struct {
		name    string
		changes []string
	}{
		{"of this start, and the clock was set since", []string{at(1970), since(1970), heard(1970)}},
		{"of this start, and the clock was set back since", []string{at(2075), since(2075), heard(2075)}},
		{"of another start, asleep since 1970", []string{elsewhere, at(1970), since(1970), heard(1970)}},
		{"of another start, asleep since 2075", []string{elsewhere, at(2075), since(2075), heard(2075)}},
		{"of an older version, asleep since 1970", []string{nowhere, since(1970)}},
		{"of an older version, asleep since 2075", []string{nowhere, since(2075)}},
		{"of an older version, seen in 2075", []string{nowhere, at(2075)}},
	} {
		h.must(os.WriteFile(file, alterJournal(h, left, c.changes), 0o600))
		h.restart(fastProbe)
		h.waitReclaimed("nas")
		slept := h.metric(`nightporter_machine_sleep_seconds_total{machine="nas"}`)
		saved := h.metric(`nightporter_machine_energy_saved_joules_total{machine="nas"}`)
		if most := time.Since(began).Seconds(); slept < 0 || slept > most || saved < 0 || saved > most*48 {
			t.Errorf("%s: slept %v s and saved %v J within %v s", c.name, slept, saved, most)
		}
		if changed := h.metric(`nightporter_machine_state_changed_timestamp_seconds{machine="nas"}`); changed < float64(began.Unix())-1 {
			t.Errorf("%s: asleep since %v", c.name, time.Unix(int64(changed), 0))
		}
		if text := h.daemon.Log.Text(); strings.Contains(text, "unfit") {
			t.Errorf("%s: the journal was not taken:\n%s", c.name, text)
		}
		h.daemon.Kill()
	}
	// The sleep of a machine that started meanwhile ends at once.
	h.must(os.WriteFile(file, alterJournal(h, left, []string{elsewhere, at(1970), since(1970), heard(1970)}), 0o600))
	h.must(nas.PowerOn())
	h.restart(fastProbe)
	h.waitMove(0, "nas", "settling", "awake", machine.WhyStarted)
	if slept := h.metric(`nightporter_machine_sleep_seconds_total{machine="nas"}`); slept < 0 || slept > time.Since(began).Seconds() {
		t.Errorf("slept %v s when it was started by hand", slept)
	}
}

// alterJournal replaces fields in each record of a journal. An empty change removes what an
// older version did not write. Each line gets a valid checksum.
func alterJournal(h *harness, file []byte, changes []string) []byte {
	h.Helper()
	var out strings.Builder
	line := regexp.MustCompile(`^\{"sum":"[0-9a-f]{8}","record":(.*)\}$`)
	for i, text := range strings.Split(strings.TrimSuffix(string(file), "\n"), "\n") {
		if i == 0 {
			out.WriteString(text + "\n")
			continue
		}
		found := line.FindStringSubmatch(text)
		if found == nil {
			h.Fatalf("a line of the journal is not as it used to be: %s", text)
		}
		record := found[1]
		for _, change := range changes {
			if change == "" {
				record = regexp.MustCompile(`"(boot|up)":"[^"]*",|,"heard":"[^"]*"`).ReplaceAllString(record, "")
				continue
			}
			name, _, _ := strings.Cut(change, ":")
			record = regexp.MustCompile(name+`:"[^"]*"`).ReplaceAllLiteralString(record, change)
		}
		fmt.Fprintf(&out, `{"sum":"%08x","record":%s}`+"\n", crc32.Checksum([]byte(record), crc32.MakeTable(crc32.Castagnoli)), record)
	}
	return []byte(out.String())
}
