package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/config"
)

func TestUnusableFiles(t *testing.T) {
	for _, tt := range []struct{ name, content, want string }{
		{"syntax", "wake:\n  attempts: 3\n interval: 2s\n", "line 3: not valid YAML: did not find expected key"},
		{"tab", "wake:\n\tattempts: 3\n", "line 2: not valid YAML: found a tab character where an indentation space is expected"},
		{"duplicate key", "wake: {attempts: 3}\nlog: {level: info}\nwake: {attempts: 4}\n", "line 3: not valid YAML: a key that occurs twice"},
		{"duplicate below", "wake:\n  attempts: 3\n  attempts: 4\n", "line 3: not valid YAML: a key that occurs twice"},
		{"list", "# a list\n- wake\n", `line 2: expected keys with values, such as "state_dir: /var/lib/nightporter"`},
		{"text", "hunter2", `line 1: expected keys with values, such as "state_dir: /var/lib/nightporter"`},
		{"two documents", "wake: {attempts: 3}\n---\nwake: {attempts: 4}\n", "line 2: a second document: expected one"},
		{"bad second document", "wake: {attempts: 3}\n---\n[\n", "line 3: not valid YAML: did not find expected node content"},
		{"unknown alias", "wake: *w\n", "line 1: not valid YAML: an alias (*) without its anchor"},
		{"not UTF-8", "state_dir: /\xff\xfe\n", "line 1: not valid YAML: text that is not UTF-8"},
		{"binary", "\x00\x01\x02", "line 1: not valid YAML: control characters are not allowed"},
		{"deep", "interfaces: " + strings.Repeat("[", 20) + strings.Repeat("]", 20), "line 1: expected at most 16 levels"},
		{"too many keys", manyLines("k%d: 1\n", 65), "line 1: expected at most 64 keys in one mapping"},
		{"too many values", "interfaces: [" + strings.Repeat("a,", 1<<18) + "]", "line 1: expected at most 262144 values, aliases counted as what they stand for"},
		{"alias of itself", "interfaces: &a [*a]\n", "line 1: expected at most 16 levels"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "config.yaml", tt.content)
			_, err := config.Load(path, false, nil, nil)
			if want := "configuration file " + path + ": " + tt.want; err == nil || err.Error() != want {
				t.Errorf("error differs\n got: %v\nwant: %s", err, want)
			}
		})
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	large := write(t, "large.yaml", strings.Repeat("#\n", 1<<19)+"#")
	for path, want := range map[string]string{
		dir:                  dir + " is a directory: expected a regular file",
		pipe:                 pipe + " is a device or a pipe: expected a regular file",
		"/dev/zero":          "/dev/zero is a device or a pipe: expected a regular file",
		large:                large + " is too large: expected at most 1048576 bytes",
		pipe + "/config.yml": "open " + pipe + "/config.yml: not a directory",
	} {
		_, err := config.Load(path, false, nil, nil)
		if want := "configuration file: " + want; err == nil || err.Error() != want {
			t.Errorf("error differs\n got: %v\nwant: %s", err, want)
		}
	}
}

func TestForbiddenFile(t *testing.T) {
	path := write(t, "config.yaml", "")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(path); err == nil {
		t.Skip("needs an ordinary user: root may read every file")
	}
	if _, err := config.Load(path, false, nil, nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want permission denied", err)
	}
}

// TestAttackThroughAnOpenFile: a user of the host writes a wake_command into a
// configuration that all users may write to. It is not loaded.
func TestAttackThroughAnOpenFile(t *testing.T) {
	path := write(t, "config.yaml", "wake: {attempts: 3}\n")
	for mode, open := range map[fs.FileMode]bool{0o600: false, 0o644: false, 0o664: false, 0o666: true, 0o602: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(path, true, nil, nil)
		want := fmt.Sprintf("configuration file %s: found mode %04o, expected a file that other users may not write to: try `chmod o-w %[1]s`", path, mode)
		if open != (err != nil) || open && err.Error() != want {
			t.Errorf("%04o: error %v, want %q", mode, err, want)
		}
	}
}

// Anchors are useful, so they are allowed.
func TestAliases(t *testing.T) {
	c := load(t, "registration: {allow: &macs [10:20:30:40:50:59, 00:00:00:00:00:01]}\nwake: &w {attempts: 2}\nprobe: {misses: 4, <<: {interval: 2s}}\n", nil)
	if len(c.Registration.Allow) != 2 || c.Wake.Attempts != 2 || c.Probe.Interval != 2*time.Second {
		t.Errorf("got %+v", c)
	}
	twice := oneMachine("wake_from: &from [192.0.2.0/24]") + "\nwake: {from: *from}\n"
	if c := load(t, twice, nil); len(c.Wake.From) != 1 || len(c.Machines[0].WakeFrom) != 1 {
		t.Errorf("got %+v", c)
	}
}

// Whatever the file holds, it is refused or read soon.
func TestHostileFiles(t *testing.T) {
	const soon = 30 * time.Second // with the race detector, on a slow machine
	const size, bulk = 1 << 20, 1 << 18
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		alias := fmt.Sprintf("*a%d, ", i-1)
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.Repeat(alias, 9))
	}
	ladder := "interfaces: &a0 []\n"
	for i := 1; i < 60; i++ {
		ladder += fmt.Sprintf("k%d: &a%d [*a%d]\n", i, i, i-1)
	}
	for name, content := range map[string]string{
		"alias bomb":        bomb,
		"ladder of aliases": ladder,
		"open brackets":     strings.Repeat("[", size),
		"open braces":       strings.Repeat("{", size),
		"nested mappings":   strings.Repeat("{a: ", size/4),
		"nested sequences":  strings.Repeat("- ", size/2),
		"complex keys":      strings.Repeat("? ", size/2),
		"comments":          strings.Repeat("#\n", bulk/2),
		"comments, a key":   strings.Repeat("#\n", bulk/2-10) + "wake:\n",
		"key of keys":       "a: " + strings.Repeat("b: ", bulk/4),
		"unknown keys":      manyLines("k%d: 1\n", bulk/16),
		"large port list":   monitoring("[{ip: 192.0.2.7, port: [" + strings.Repeat("1,", bulk/8) + "]}]"),
		"long list":         "interfaces: [" + strings.Repeat("a,", bulk/4) + "]",
		"long text":         "state_dir: /" + strings.Repeat("a", bulk-20),
		"long folded text":  "state_dir: >\n" + strings.Repeat(" a\n", bulk/3-20),
		"merge keys":        "machines:\n" + manyLines("- {name: %d, <<: [{mac: 1}, {monitor: 2}]}\n", bulk/64),
		"merged alias":      "wake: &w {attempts: 3}\nmachines:\n" + strings.Repeat("- {<<: [*w, *w, *w, *w]}\n", bulk/160),
		"many mappings":     "machines:\n" + strings.Repeat("- {"+manyLines("k%d: 1, ", 60)+"}\n", bulk/1000),
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "config.yaml", content)
			start := time.Now()
			_, err := config.Load(path, true, nil, nil)
			took := time.Since(start)
			t.Logf("%d bytes in %v: %.200v", len(content), took, err)
			if took > soon {
				t.Errorf("took %v, want less than %v", took, soon)
			}
		})
	}
}

func manyLines(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// A token in a file that all users may read is refused, unless it is not the one
// in use; a group may read it.
func TestWorldReadableToken(t *testing.T) {
	const token = "registration: {token: hunter2hunter2}\n"
	override := []string{"NIGHTPORTER_REGISTRATION__TOKEN=swordfish"}
	for _, tt := range []struct {
		name    string
		content string
		mode    os.FileMode
		environ []string
		refused bool
	}{
		{"all users", token, 0o644, nil, true},
		{"all users but the group", token, 0o604, nil, true},
		{"the group", token, 0o640, nil, false},
		{"the owner", token, 0o600, nil, false},
		{"all users, no token", "registration: {token: ''}\n", 0o644, nil, false},
		{"all users, token in the environment", "log: {level: info}\n", 0o644, override, false},
		{"all users, another token in the environment", token, 0o644, override, false},
		{"all users, the token of HTTP", "http: {token: hunter2hunter2}\n", 0o644, nil, true},
		{"the group, the token of HTTP", "http: {token: hunter2hunter2}\n", 0o640, nil, false},
		{"all users, a bad token", "registration: {token: short}\n", 0o644, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "config.yaml", tt.content)
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := config.Load(path, true, tt.environ, nil)
			if (err != nil) != tt.refused {
				t.Fatalf("error %v, want one: %v", err, tt.refused)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}

	path := write(t, "config.yaml", token)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	want := "registration.token: found a hidden value (from " + path + "): expected a file that other users may not read, " +
		"since it holds a secret, and its mode is 0644: put it into /etc/nightporter/environment (mode 600) as NIGHTPORTER_REGISTRATION__TOKEN=..., or `chmod o-rwx " + path + "` if the daemon's user is in the file's group"
	if _, err := config.Load(path, true, nil, nil); err == nil || withoutLines(err) != want {
		t.Errorf("error differs\n got: %v\nwant: %s", err, want)
	}
}
