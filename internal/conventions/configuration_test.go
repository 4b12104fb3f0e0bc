package conventions

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"nightporter/internal/config"
	"nightporter/internal/registration"
)

// Every key of the configuration that the pages name exists.
func TestDocsKeys(t *testing.T) {
	keys, sections := map[string]bool{}, map[string]bool{}
	for _, k := range config.Keys() {
		keys[k.Path] = true
		if section, _, nested := strings.Cut(k.Path, "."); nested {
			sections[section] = true
		}
	}
	example := source(t, "config.example.yaml")
	named := regexp.MustCompile(`(^|[^\w./-])([a-z]+)\.([a-z_]+)\b(\S?)`)
	member := regexp.MustCompile(`machines\[\]\.([a-z_]+)`)
	for _, m := range mentions(t) {
		if m.lang == "yaml" { // TestDocsExamples loads it, or it is of another program
			continue
		}
		for _, k := range named.FindAllStringSubmatch(m.text, -1) {
			if path := k[2] + "." + k[3]; sections[k[2]] && !keys[path] && !strings.ContainsAny(k[4], ".(/@") {
				t.Errorf("%s:%d: the configuration has no key %s", m.page, m.line, path)
			}
		}
		for _, k := range member.FindAllStringSubmatch(m.text, -1) {
			if !regexp.MustCompile(`(?m)^#[ -]+` + k[1] + `:`).MatchString(example) {
				t.Errorf("%s:%d: a machine has no setting %s in config.example.yaml", m.page, m.line, k[1])
			}
		}
	}
}

// Every variable of the environment that the pages name is read somewhere.
func TestDocsVariables(t *testing.T) {
	known := source(t, "deploy/compose/compose.yaml")
	for _, k := range config.Keys() {
		known += k.Env + "\n"
	}
	for _, pattern := range []string{"internal/cli/*.go", "internal/porter/command.go"} {
		files, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(file, "_test.go") {
				known += string(b)
			}
		}
	}
	for _, m := range mentions(t) {
		for _, name := range regexp.MustCompile(`NIGHTPORTER_[A-Z_]*[A-Z]`).FindAllString(m.text, -1) {
			if !regexp.MustCompile(name + `\b`).MatchString(known) {
				t.Errorf("%s:%d: no variable is called %s", m.page, m.line, name)
			}
		}
	}
}

// Examples of the configuration are taken as they stand, and so are those of a
// registration.
func TestDocsExamples(t *testing.T) {
	sections := map[string]bool{}
	for _, k := range config.Keys() {
		section, _, _ := strings.Cut(k.Path, ".")
		sections[section] = true
	}
	configurations, registrations := 0, 0
	for _, b := range blocks(t) {
		var content map[string]any
		switch {
		case b.lang == "yaml" && !strings.HasPrefix(b.page, "deploy/"): // those have a test of their own
			if err := yaml.Unmarshal([]byte(b.text), &content); err != nil {
				t.Errorf("%s:%d: %v", b.page, b.line, err)
			}
			for key := range content {
				if !sections[key] {
					content = nil
				}
			}
			if len(content) == 0 {
				continue
			}
			configurations++
			file := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(file, true, nil, nil); err != nil {
				t.Errorf("%s:%d: %v", b.page, b.line, err)
			}
		case b.lang == "json" && strings.Contains(b.text, `"monitor"`):
			registrations++
			if _, err := registration.Decode([]byte(b.text), registration.Defaults{}); err != nil {
				t.Errorf("%s:%d: %v", b.page, b.line, err)
			}
		}
	}
	if configurations < 5 || registrations < 1 {
		t.Errorf("only %d examples of the configuration and %d of a registration are found", configurations, registrations)
	}
}
