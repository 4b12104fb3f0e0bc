package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// jsonStep is one line that test --json prints.
type jsonStep struct{ Result, Text string }

// stepsOf reads the output of test --json: one object a line.
func stepsOf(t *testing.T, out string) (all []jsonStep) {
	t.Helper()
	for line := range strings.Lines(out) {
		var s jsonStep
		if err := json.Unmarshal([]byte(line), &s); err != nil || s.Result == "" || s.Text == "" {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, s)
	}
	return all
}

// TestTestCommandJSON: the JSON output has the steps of the text output.
func TestTestCommandJSON(t *testing.T) {
	h := open(t, fastProbe)
	h.putToSleep(addSlowNAS(h, 300*time.Millisecond))
	code, out := h.runCommand("test", "nas", "--json")
	got := stepsOf(t, out)
	if code != 0 || len(got) < 5 || got[0].Result != "ok" || !contains(got[len(got)-1].Text, "Wake-on-LAN works: ready after ") {
		t.Errorf("exit code %d, %+v", code, got)
	}
}

// TestCheckHostInJSON: the problems of the host are in the same object.
func TestCheckHostInJSON(t *testing.T) {
	h := open(t, fastProbe)
	for text, wrong := range map[string]int{"": 0, "interfaces: [eth0, eth9]\n": 1} {
		conf := filepath.Join(t.TempDir(), "config.yaml")
		h.must(os.WriteFile(conf, []byte(text+"state_dir: "+t.TempDir()+"\n"), 0o600))
		out, err := h.runOn(h.lan.Porter(), "check", "--host", "--json", "--config", conf)
		var v struct {
			OK      bool `json:"ok"`
			Changed []any
			Errors  []string
			Host    []struct {
				What string
				OK   bool
			}
		}
		if parseErr := json.Unmarshal([]byte(out), &v); parseErr != nil || (err == nil) != (wrong == 0) {
			t.Fatalf("%v, %v in %s", err, parseErr, out)
		}
		if v.OK != (wrong == 0) || len(v.Errors) != wrong || len(v.Host) < 6 || v.Host[0].What != "capabilities" || !v.Host[0].OK || v.Changed == nil {
			t.Errorf("printed %+v", v)
		}
	}
}
