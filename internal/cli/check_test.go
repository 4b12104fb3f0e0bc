package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightporter/internal/config"
)

// runCheck runs check with files in a new directory, which it returns. config.yaml and
// environment are given by --config and --environment.
func runCheck(t *testing.T, files map[string]string, args ...string) (dir string, code int, out, errs string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := files["config.yaml"]; ok {
		args = append(args, "--config", filepath.Join(dir, "config.yaml"))
	}
	if _, ok := files["environment"]; ok {
		args = append(args, "--environment", filepath.Join(dir, "environment"))
	}
	code, out, errs = runCommand(t, append([]string{"check"}, args...)...)
	return dir, code, out, errs
}

// check prints the configuration in effect and the origin of each changed key.
func TestCheck(t *testing.T) {
	const machine = "machines: [{name: nas, mac: 02:00:00:00:00:01, monitor: [{ip: 192.0.2.7, port: [22]}]}]\n"
	dir, code, out, errs := runCheck(t, map[string]string{
		"config.yaml": "wake:\n  attempts: 4\n" + machine, "environment": "# secrets\nNIGHTPORTER_HTTP__TOKEN='open sesame'\nOTHER=1\n",
	}, "--probe.misses", "4")
	file := filepath.Join(dir, "config.yaml")
	for _, want := range []string{
		filepath.Join(dir, "environment") + ": read\n",
		"configuration OK: " + file + ", 1 machine; 4 of ", " keys differ from their defaults\n",
		"  http.token (from NIGHTPORTER_HTTP__TOKEN)\n", "  probe.misses (from --probe.misses)\n",
		"  wake.attempts (from " + file + ", line 2)\n", "  machines (from " + file + ", line 3)\n",
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("printed\n%swithout %q", errs, want)
		}
	}
	var terminal bytes.Buffer
	Run(t.Context(), []string{"check", "--config", file, "--environment", filepath.Join(dir, "environment")}, &terminal, &terminal)
	if !contains(terminal.String(), "nothing is done for a machine until it registers: nas\n") {
		t.Errorf("printed\n%s", terminal.String())
	}
	if lines := strings.Split(strings.TrimSpace(terminal.String()), "\n"); !strings.HasPrefix(lines[len(lines)-1], "configuration OK: ") {
		t.Errorf("the last line is no verdict:\n%s", &terminal)
	}
	if code != 0 || !contains(out, "attempts: 4", "interval: 15s", "misses: 4", `token: "********"`) || strings.Contains(out+errs, "sesame") {
		t.Errorf("exit code %d, printed\n%s", code, out)
	}
}

// --changed prints only keys that differ from the defaults.
func TestCheckChanged(t *testing.T) {
	_, code, out, errs := runCheck(t, map[string]string{"config.yaml": "wake: {attempts: 4, keep: true}\n"}, "--changed")
	if code != 0 || out != "wake:\n  attempts: 4\n" || !contains(errs, "; 1 of ") {
		t.Errorf("exit code %d, printed %q, %q", code, out, errs)
	}
}

// check names a configuration file with a similar name that is not read.
func TestCheckWithoutAFile(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(other, []byte("wake: {attempts: 4}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "config.yaml")
	var printed strings.Builder
	cmd := newCheckCommand()
	cmd.SetErr(&printed)
	(&checkFlags{path: missing}).summarize(cmd, config.Default(), new(config.Origins), true)
	if !contains(printed.String(), "configuration OK: no "+missing+", 0 machines; 0 of ", other+" is there, but not read: expected the name config.yaml\n") {
		t.Errorf("printed %q", printed.String())
	}
	if code, _, errs := runCommand(t, "check", "--config", missing); code != 1 || !contains(errs, missing, "no such file") {
		t.Errorf("a missing file of --config: exit code %d, %q", code, errs)
	}
	if _, err := os.Stat("/etc/nightporter"); err == nil {
		t.Skip("not tested: nightporter is configured on this host")
	}
	code, _, errs := runCommand(t, "check")
	if code != 0 || !contains(errs, "configuration OK: no /etc/nightporter/config.yaml, 0 machines; 0 of ") {
		t.Errorf("without a file: exit code %d, %q", code, errs)
	}
}

// Each error has a line with its key.
func TestCheckErrors(t *testing.T) {
	_, code, out, errs := runCheck(t, map[string]string{"config.yaml": "wake: {atempts: 4}\nprobe: {misses: none}\n"})
	if code != 1 || out != "" || !contains(errs, "wake.atempts", "probe.misses", "config.yaml, line 2)") || strings.Count(errs, "\n") != 2 {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
	_, code, out, errs = runCheck(t, map[string]string{"environment": "NIGHTPORTER_WAKE__ATTEMPTS\n"})
	if code != 1 || out != "" || !contains(errs, "nightporter: --environment: ", "environment: line 1: expected NAME=value\n") {
		t.Errorf("a bad environment: exit code %d, %q, %q", code, out, errs)
	}
	code, out, errs = runCommand(t, "check", "--environment", "/nonexistent")
	if code != 1 || out != "" || !contains(errs, "--environment: open /nonexistent: no such file") {
		t.Errorf("no environment: exit code %d, %q, %q", code, out, errs)
	}
}

// Without a target, --notify fails and says where to set one.
func TestCheckNotify(t *testing.T) {
	_, code, _, errs := runCheck(t, map[string]string{"config.yaml": "", "environment": ""}, "--notify")
	if code != 1 || !contains(errs, "nightporter: notify.urls is empty: nothing to test", "NIGHTPORTER_NOTIFY__URLS=URL") {
		t.Errorf("exit code %d, %q", code, errs)
	}
}
