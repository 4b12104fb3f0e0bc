package cli

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/registration"
	"nightporter/internal/web"
)

// parseJSON parses the output of a command with --json, which is one object.
func parseJSON(t *testing.T, out string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return v
}

// Commands that change a machine print it like the API.
func TestChangesInJSON(t *testing.T) {
	url := servePorter(t, newTwoMachines(), web.Access{})
	until := testTime.Add(2 * time.Hour).UTC().Format(time.RFC3339)
	for _, tt := range []struct{ line, key, want string }{
		{"pause nas --for 1h", "paused_until", until},
		{"resume nas", "state", "asleep"},
		{"forget nas", "name", "nas"},
	} {
		code, out, errs := runCommand(t, append(strings.Fields(tt.line), "--json", "--from", url)...)
		if v := parseJSON(t, out); code != 0 || errs != "" || v["name"] != "nas" || v[tt.key] != tt.want {
			t.Errorf("%s: exit code %d, %q, %s", tt.line, code, errs, out)
		}
	}
	code, out, errs := runCommand(t, "forget", "nas", "--json", "--from", url)
	if code != 1 || out != "" || !contains(errs, "no machine is named") {
		t.Errorf("of none: exit code %d, %q, %q", code, out, errs)
	}
}

func TestVersionInJSON(t *testing.T) {
	code, out, _ := runCommand(t, "version", "--json")
	v := parseJSON(t, out)
	for _, key := range []string{"version", "revision", "go", "os", "arch"} {
		if _, ok := v[key].(string); !ok || code != 0 {
			t.Errorf("exit code %d, no %s in %s", code, key, out)
		}
	}
}

func TestCheckInJSON(t *testing.T) {
	dir, code, out, errs := runCheck(t, map[string]string{"config.yaml": "wake: {attempts: 4}\nhttp: {token: open sesame}\n", "environment": ""}, "--json")
	file := filepath.Join(dir, "config.yaml")
	var v checkReport
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || errs != "" || strings.Contains(out, "sesame") {
		t.Fatalf("%v, exit code %d, %q, %s", err, code, errs, out)
	}
	if !v.OK || v.File != file || len(v.Errors) != 0 || len(v.Changed) != 2 || v.Changed[1] != (changedKey{"wake.attempts", "from " + file + ", line 1"}) {
		t.Errorf("printed %+v", v)
	}
	_, code, out, errs = runCheck(t, map[string]string{"config.yaml": "wake: {atempts: 4}\nprobe: {misses: none}\n", "environment": ""}, "--json")
	v = checkReport{}
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 1 || errs != "" || v.OK || len(v.Errors) != 2 || !contains(v.Errors[0], "wake.atempts") {
		t.Errorf("%v, exit code %d, %q, %s", err, code, errs, out)
	}
	for _, flag := range []string{"--changed", "--notify"} {
		if code, _, errs := runCommand(t, "check", "--json", flag); code != 2 || !contains(errs, "--json and "+flag+": give one of them") {
			t.Errorf("%s: exit code %d, %q", flag, code, errs)
		}
	}
}

func TestRegisterInJSON(t *testing.T) {
	refused := registration.Refuse(registration.Refused, "not you")
	args := []string{"register", "--mac", "d8:cb:8a:39:be:a1", "--name", "tower", "--monitor", "192.168.1.5=22", "--token", "s3cret", "--json", "--to"}
	for _, tt := range []struct {
		says         error
		more, answer string
		accepted     bool
	}{
		{nil, "--timeout=10s", "OK.", true},
		{&registration.Acceptable{Name: "tower-2"}, "--check", `the porter would accept it as "tower-2"`, true},
		{refused, "--timeout=10s", "not you", false},
		{refused, "--check", "not you", false},
	} {
		to, _ := serveRegistrations(t, tt.says)
		code, out, errs := runCommand(t, append(args, to, tt.more)...)
		v := parseJSON(t, out)
		sent, _ := v["registration"].(map[string]any)
		if (code == 0) != tt.accepted || errs != "" || v["accepted"] != tt.accepted || v["answer"] != tt.answer || v["porter"] != to ||
			v["check"] != (tt.more == "--check") || sent["name"] != "tower" || strings.Contains(out, "s3cret") {
			t.Errorf("%s: exit code %d, %q, %s", tt.more, code, errs, out)
		}
	}
	code, out, errs := runCommand(t, append(args, "127.0.0.1:1", "--retries", "0")...)
	if code != 1 || out != "" || !contains(errs, "connection refused") {
		t.Errorf("no porter: exit code %d, %q, %q", code, out, errs)
	}
}

// parseSteps parses the output of test --json: one object a line.
func parseSteps(t *testing.T, out string) (all []stepJSON) {
	t.Helper()
	for line := range strings.Lines(out) {
		var s stepJSON
		if err := json.Unmarshal([]byte(line), &s); err != nil || s.Result == "" || s.Text == "" {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, s)
	}
	return all
}

// The advice after a failure is not in the JSON output.
func TestStepsInJSON(t *testing.T) {
	var out strings.Builder
	tested := wakeTest{name: "nas", stepPrinter: newStepPrinter(&out, true)}
	tested.ok("it is up%s", " at last")
	tested.wait("a moment")
	if err := tested.reportFailure(journal.Event{Attempts: 6}); err != exitCode(1) {
		t.Errorf("error %v", err)
	}
	got := parseSteps(t, out.String())
	if len(got) != 3 || got[0] != (stepJSON{"ok", "it is up at last"}) || got[1].Result != "waiting" || got[2].Result != "failed" {
		t.Errorf("printed %+v", got)
	}
}
