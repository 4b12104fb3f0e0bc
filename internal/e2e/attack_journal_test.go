package e2e

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightporter/internal/ether"
)

// recordLine returns a line of a journal with a valid checksum, which needs no secret.
func recordLine(record string) string {
	sum := crc32.Checksum([]byte(record), crc32.MakeTable(crc32.Castagnoli))
	return fmt.Sprintf(`{"sum":"%08x","record":%s}`+"\n", sum, record)
}

// asleepRecord returns the record of a sleeping machine.
func asleepRecord(name string, mac ether.MAC, ip string, more string) string {
	return fmt.Sprintf(`{"machine":{"mac":%q,"name":%q,"monitor":[{"ip":%q,"ports":["22/tcp"]}],`+
		`"state":"asleep","since":"2026-01-02T03:04:05Z","registered":"2026-01-02T03:04:00Z"%s}}`, mac, name, ip, more)
}

// TestAttackForgedJournal: a program on the porter's host that can write the state directory
// adds machines that no registration could. They are left out, the porter answers for none of
// their addresses, and the API works. The valid machine in the same journal is woken by its
// client.
func TestAttackForgedJournal(t *testing.T) {
	t.Parallel()
	ctx, lan := newLAN(t)
	h := &harness{TB: t, ctx: ctx, lan: lan}
	nas := h.addNAS(nil)
	h.must(nas.Sleep(ctx))
	unused := netip.MustParseAddr("10.77.0.200") // no host has it
	foreign := func(i byte) ether.MAC { return ether.MAC{2, 0x66, 0, 0, 0, i} }
	lines := []string{`{"nightporter_journal":1}` + "\n"}
	for i, r := range []string{
		asleepRecord("nas", nas.MAC(), nas4.String(), ""),
		asleepRecord("us", lan.Porter().MAC(), unused.String(), ""),
		asleepRecord("all", ether.Broadcast, unused.String(), ""),
		asleepRecord("group", ether.MAC{1, 0, 0x5e, 0, 0, 1}, unused.String(), ""),
		asleepRecord("zone", foreign(1), "fe80::1%eth0", ""),
		asleepRecord("loop", foreign(2), "::ffff:127.0.0.1", ""),
		asleepRecord("hot", foreign(3), unused.String(), `,"idle_watts":1e308`),
		asleepRecord("twin", foreign(4), nas4.String(), `,"registered":"2026-01-03T00:00:00Z"`), // a registration would be accepted: its address waits
		asleepRecord("a\nb", foreign(5), "10.77.0.201", ""),
	} {
		lines = append(lines, recordLine(r))
		if i == 0 {
			lines = append(lines, recordLine(`{"event":{"seq":1,"kind":"asleep","machine":"nas"}}`))
		}
	}
	dir := t.TempDir()
	h.must(os.WriteFile(filepath.Join(dir, "journal.jsonl"), []byte(strings.Join(lines, "")), 0o600))
	h = openIn(ctx, t, lan, dir, fastProbe)
	status, text, err := h.daemon.Get(h.ctx, "/api/v1/machines")
	h.must(err)
	var known []struct{ Name string }
	if err := json.Unmarshal([]byte(text), &known); status != http.StatusOK || err != nil {
		t.Fatalf("the API says %d: %v: %s", status, err, text)
	}
	for i, want := range []string{"ab", "nas", "twin"} {
		if len(known) != 3 || known[i].Name != want {
			t.Errorf("known are %v, want %q among them", known, want)
		}
	}
	h.waitReclaimed("nas")
	h.connect(lan.Client(), nas4, 22)
	if text := h.daemon.Log.Text(); strings.Count(text, `"event":"record_left_out"`) != 5 || strings.Count(text, `"event":"resume_failed"`) != 1 {
		t.Error("the log does not tell of each record that was left out")
	}
	_, events, err := h.daemon.Get(h.ctx, "/api/v1/events")
	h.must(err)
	if n := strings.Count(events, `"kind":"forgotten"`); n != 6 {
		t.Errorf("%d events of records that were left out, want 6:\n%s", n, events)
	}
}
