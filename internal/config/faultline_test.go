package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFaultLine: the line that is wrong is named, whatever it is that is wrong in it.
func TestFaultLine(t *testing.T) {
	const (
		colon   = "could not find expected ':'"
		key     = "did not find expected key"
		mapping = "mapping values are not allowed"
		tab     = "a tab character"
		twice   = "a key that occurs twice"
		curly   = "did not find expected ',' or '}'"
		square  = "did not find expected ',' or ']'"
		dash    = "did not find expected '-' indicator"
		quote   = "found unexpected end of stream"
	)
	for _, c := range []struct {
		name, text string
		line       int
		says       string
	}{
		{"less indented", "wake:\n  attempts: 3\n interval: 5s\n", 3, key},
		{"less indented, CRLF", "wake:\r\n  attempts: 3\r\n interval: 5s\r\n", 3, key},
		{"less indented, far below", "log: {level: info}\nwake:\n  attempts: 3\n\n  # often\n\n interval: 5s\nuser: x\n", 7, key},
		{"more indented", "wake:\n  attempts: 3\n    interval: 5s\n", 3, mapping},
		{"more indented below a value", "state_dir: /x\n  user: x\n", 2, mapping},
		{"entry less indented", "machines:\n  - name: a\n    mac: x\n   ip: y\n", 4, ""},
		{"entry more indented", "machines:\n  - name: a\n     mac: x\n    ip: y\n", 3, mapping},
		{"second entry less indented", "machines:\n  - name: a\n    mac: x\n - name: b\n", 4, ""},
		{"key in a list", "interfaces:\n  - eth0\n  eth1: x\n", 3, dash},
		{"text below a list", "interfaces:\n  - eth0\n  eth1\nuser: x\n", 3, colon},
		{"below a text of several lines", "user: |\n x\n  y\n z\nlog: {level: info}\n foo: x\n", 6, ""},
		{"tab", "wake:\n\tattempts: 3\n", 2, tab},
		{"tab, later", "wake:\n  attempts: 3\n\tinterval: 5s\nuser: x\n", 3, tab},
		{"tab after spaces", "wake:\n  attempts: 3\n \tinterval: 5s\nuser: x\n", 3, tab},
		{"no colon, first of a section", "wake:\n  attempts 3\n  interval: 5s\n", 2, colon},
		{"no colon, second of a section", "wake:\n  attempts: 3\n  interval 5s\n  keep: true\n", 3, colon},
		{"no colon, first line", "state_dir /x\nuser: x\n", 1, colon},
		{"no colon, section", "log: {level: info}\nwake\n  attempts: 3\n", 2, colon},
		{"no colon, between", "log:\n  level: info\nstate_dir /x\nwake:\n  attempts: 3\n", 3, colon},
		{"no colon, last line", "log:\n  level: info\nstate_dir /x\n", 3, colon},
		{"no space", "wake:\n  attempts:3\n  interval: 5s\n", 2, colon},
		{"two colons", "log: {level: info}\nstate_dir: a: b\n", 2, mapping},
		{"quote", "state_dir: \"/x\nwake:\n  attempts: 3\nlog:\n  level: info\n", 1, quote},
		{"quote, later", "log: {level: info}\nwake:\n  attempts: 3\nstate_dir: '/x\nuser: y\n", 4, quote},
		{"quote that a later one closes", "log: {level: info}\nstate_dir: \"/x\nuser: \"y\"\n", 2, key},
		{"text after a quote", "log: {level: info}\nuser: \"x\" y\nstate_dir: /x\n", 2, key},
		{"escape", "log: {level: info}\nstate_dir: \"C:\\data\"\n", 2, "found unknown escape character"},
		{"square bracket", "log: {level: info}\ninterfaces: [eth0, eth1\nwake:\n  attempts: 3\n", 2, square},
		{"curly bracket", "log:\n  level: info\nwake: {attempts: 3\nuser: x\n", 3, curly},
		{"bracket too many", "log:\n  level: info\ninterfaces: [x]]\nuser: x\n", 3, key},
		{"no comma", "wake: {attempts: 3 interval: 5s}\n", 1, curly},
		{"character", "log: {level: info}\nuser: @x\nstate_dir: /x\n", 2, "found character that cannot start any token"},
		{"star", "log: {level: info}\nhttp:\n  listen: *:9717\n", 3, "did not find expected alphabetic"},
		{"alias", "log: {level: info}\nuser: *x\nstate_dir: /x\n", 2, "an alias (*) without its anchor"},
		{"control character", "log: {level: info}\nuser: \"\x01\"\n", 2, "control characters are not allowed"},
		{"not UTF-8", "log: {level: info}\nuser: \xff\n", 2, "text that is not UTF-8"},
		{"key twice", "wake:\n  attempts: 3\n  attempts: 4\n", 3, twice},
		{"key twice, apart", "machines: []\nlog: {level: info}\nmachines:\n  - {name: a}\n", 3, twice},
		{"key of a machine twice", "machines:\n  - name: a\n    ip: x\n    ip: y\n", 4, twice},
		{"second document", "user: x\n---\nwake:\n  attempts: 3\n interval: 5s\n", 5, key},
		{"unknown key", "log: {level: info}\nwake:\n  attempts: 3\n  foo: 4\n", 4, "wake.foo: unknown key"},
		{"unknown key of a machine", "machines:\n  - name: a\n    ipx: y\n    mac: 02:00:00:00:00:01\n", 3, "machines[0].ipx: unknown key"},
		{"wrong type", "wake:\n  attempts: 3\n  interval: [1]\n", 3, "wake.interval: found a list"},
		{"text in place of a section", "log: {level: info}\nwake: 3\n", 2, "wake: found a single value"},
		{"entry of a list", "wake:\n  from:\n    - 10.0.0.0/8\n    - x\n", 4, "wake.from[1]: found \"x\""},
		{"list in place of the file", "# mine\n- a\n", 2, "expected keys with values"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path, true, nil, nil)
			if err == nil {
				t.Fatal("no error")
			}
			first, _, _ := strings.Cut(err.Error(), "\n")
			if !strings.Contains(first, fmt.Sprintf("line %d", c.line)) || !strings.Contains(first, c.says) {
				t.Errorf("%s: want line %d, %q", first, c.line, c.says)
			}
		})
	}
}

// TestFaultLineIsBounded: a large file whose first line is the fault does not take long.
func TestFaultLineIsBounded(t *testing.T) {
	text := "user: \"x\n" + strings.Repeat("a: b\n", maxFile/6)
	began := time.Now()
	_, err := checkDocument([]byte(text))
	if took := time.Since(began); err == nil || took > time.Minute {
		t.Errorf("%v after %v", err, took)
	}
}
