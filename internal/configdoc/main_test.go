package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightporter/internal/config"
)

const top = "../../"

func TestPageIsCurrent(t *testing.T) {
	page := filepath.Join(t.TempDir(), "configuration.md")
	if err := write(top+examplePath, page); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(top + pagePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what the table of keys says: make docs writes it again", pagePath)
	}
	for _, k := range config.Keys() {
		if !strings.Contains(string(want), "`"+k.Path+"`") {
			t.Errorf("the page lacks %s", k.Path)
		}
	}
}

// The example has every key of the table, with its help and its default.
func TestExampleIsCurrent(t *testing.T) {
	b, err := os.ReadFile(top + examplePath)
	if err != nil {
		t.Fatal(err)
	}
	want, err := withKeys(string(b))
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != want {
		t.Errorf("%s is not what the table of keys says: make docs writes it again", examplePath)
	}
	if _, err := withKeys("wake:\n"); err == nil {
		t.Error("no error for an example without titles")
	}
}

func TestMachineOf(t *testing.T) {
	for _, tc := range []struct{ example, want, err string }{
		{"#a\n#machines:\n#  - {name: nas}\n\n#machines:\n#  # its name\n#  - name: tower\n", "machines:\n  # its name\n  - name: tower\n", ""},
		{"machines: []\n", "", "no line #machines:"},
		{"#a\n#machines:\n#  - name: tower\nwake:\n", "", `found "wake:\n"`},
	} {
		got, err := machineOf(tc.example)
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%q: got %q, %v; want %q, %q", tc.example, got, err, tc.want, tc.err)
		}
	}
}

func TestWriteWithoutExample(t *testing.T) {
	dir := t.TempDir()
	if err := write(filepath.Join(dir, "missing.yaml"), filepath.Join(dir, "page.md")); err == nil {
		t.Error("expected an error")
	}
}

// The manual page has every key with its variable, and the settings of a machine.
func TestManual(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nightporter.yaml.5")
	if err := writeManual(top+examplePath, path, "nightporter 1.2.3"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), `\-`, "-")
	wants := []string{`.TH "NIGHTPORTER.YAML" "5" "" "nightporter 1.2.3"`, "wake_command: [/usr/local/bin/plug-on"}
	for _, k := range config.Keys() {
		if k.Path != "machines" {
			wants = append(wants, `\fB`+k.Path+": ", k.Env)
		}
	}
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
