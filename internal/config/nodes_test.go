package config_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"nightporter/internal/config"
)

// An error about a value in a file names its line, and that of the next thing above where
// the value is missing.
func TestLines(t *testing.T) {
	const machine = "machines:\n- name: nas\n  mac: 02:00:00:00:00:01\n"
	for _, tt := range []struct{ file, want string }{
		{"\nwake:\n  # rounds\n  attempts: 0\n", "wake.attempts: found 0 (from FILE, line 4): "},
		{"wake: {keep: true,\n attempts: 0}\n", "wake.attempts: found 0 (from FILE, line 2): "},
		{"wake:\n  atempts: 1\n", "wake.atempts: unknown key (from FILE, line 2): "},
		{"log:\n- debug\n", "log: found a list (from FILE, line 1): "},
		{"interfaces:\n- eth0\n- a/b\n", `interfaces[1]: found "a/b" (from FILE, line 3): `},
		{machine + "  monitor:\n  - ip: 192.0.2.7\n    port: [22,\n      0]\n", "machines[0].monitor[0].port[1]: found 0 (from FILE, line 7): "},
		{machine + "  monitor:\n  - port: [22]\n", "machines[0].monitor[0].ip: found nothing (from FILE, line 5): "},
		{machine + "  monitor: [{ip: 192.0.2.7, port: [22]}]\n  agentles: true\n", "machines[0].agentles: unknown key (from FILE, line 5): "},
		{"registration: &r\n  timeout: 1\nhttp:\n  <<: *r\n", "http.timeout: unknown key (from FILE, line 2)"},
		{"energy:\n  idle_watts: 1\n  sleep_watts: 2\n", "energy.sleep_watts: found 2 (from FILE, line 3): "},
		{"wake.attempts: 3\n", "wake.attempts: unknown key (from FILE): "},
		{machine + "  monitor: [{ip: 192.0.2.7, port: [22]}]\n  idle_watts: 1\n", "machines[0].sleep_watts: found 2 (from energy.sleep_watts): "},
	} {
		path := write(t, "config.yaml", tt.file)
		_, err := config.Load(path, true, nil, nil)
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), path, "FILE"), tt.want) {
			t.Errorf("%q: %v, want %s", tt.file, err, tt.want)
		}
	}
}

// Origins have the source of each value.
func TestOrigins(t *testing.T) {
	path := write(t, "config.yaml", "# mine\nwake:\n  attempts: 3\n  keep: true\nprobe: {misses: 5}\n")
	c, origins, err := config.Examine(path, false, []string{"NIGHTPORTER_HOLD__PACKETS=9"}, parseFlags(t, "--probe.misses=4"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"wake.attempts": "from " + path + ", line 3", "probe.misses": "from --probe.misses", "hold.packets": "from NIGHTPORTER_HOLD__PACKETS",
	}
	changed := config.Changed(config.Default(), c)
	for _, key := range changed {
		if got := origins.Of(key); got != want[key] {
			t.Errorf("%s: %q, want %q", key, got, want[key])
		}
	}
	if len(changed) != len(want) || origins.File != path || origins.Of("wake.keep") != "from "+path+", line 4" || origins.Of("wake.local") != "the default" {
		t.Errorf("changed are %q, the file is %q, wake.keep %q", changed, origins.File, origins.Of("wake.keep"))
	}
	if b, err := c.ChangedYAML(); err != nil || string(b) != "probe:\n  misses: 4\nwake:\n  attempts: 3\nhold:\n  packets: 9\n" {
		t.Errorf("changed: %v\n%s", err, b)
	}
	if b, err := config.Default().ChangedYAML(); err != nil || len(b) > 0 {
		t.Errorf("of the defaults: %v\n%s", err, b)
	}
	missing := path + ".missing"
	if _, origins, err := config.Examine(missing, false, nil, nil); err != nil || origins.File != "" {
		t.Errorf("without a file: %+v, %v", origins, err)
	}
	if _, _, err := config.Examine(missing, true, nil, nil); err == nil {
		t.Error("a file that was asked for may be missing")
	}
	empty := write(t, "empty.yaml", "")
	if _, origins, err := config.Examine(empty, false, nil, nil); err != nil || origins.File != empty {
		t.Errorf("with an empty file: %+v, %v", origins, err)
	}
}

// breaks are the ends of lines in YAML.
var breaks = regexp.MustCompile("\r\n|[\r\n\u0085\u2028\u2029]")

// The line of an error is one of the file, whatever stands there.
func FuzzLines(f *testing.F) {
	f.Add("wake:\n  attempts: 0\nmachines:\n- &a {name: x}\n- *a\n")
	f.Add("probe: {<<: [{misses: 0}]}\n\ninterfaces: [a, a]\n")
	f.Fuzz(func(t *testing.T, file string) {
		path := write(t, "config.yaml", file)
		_, err := config.Load(path, true, nil, nil)
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok {
			return
		}
		for _, e := range joined.Unwrap() {
			origin := ""
			switch e := e.(type) {
			case *config.Error:
				origin = e.Origin
			case *config.UnknownKeyError:
				origin = e.Origin
			}
			_, line, found := strings.Cut(origin, ", line ")
			if !found {
				continue
			}
			n := 1 + len(breaks.FindAllString(file, -1))
			if at, err := strconv.Atoi(line); err != nil || at < 1 || at > n {
				t.Errorf("%q has %d lines: %v", file, n, e)
			}
		}
	})
}
