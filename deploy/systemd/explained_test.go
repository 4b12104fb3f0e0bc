package systemd_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// group is a comment of a unit with the lines that it explains.
type group struct {
	comment string
	keys    []string
}

// groups splits the lines of [Service] at comments and empty lines.
func groups(unit string) []group {
	_, service, _ := strings.Cut(unit, "\n[Service]\n")
	service, _, _ = strings.Cut(service, "\n[")
	var all []group
	var g group
	for line := range strings.Lines(service + "\n\n") {
		line = strings.TrimSpace(line)
		if key, _, ok := strings.Cut(line, "="); ok && line[0] != '#' {
			if !slices.Contains(g.keys, key) {
				g.keys = append(g.keys, key)
			}
			continue
		}
		if line == "" || len(g.keys) > 0 {
			all, g = append(all, g), group{}
		}
		g.comment += strings.TrimPrefix(line, "#")
	}
	return slices.DeleteFunc(all, func(g group) bool { return len(g.keys) == 0 && g.comment == "" })
}

var namedKey = regexp.MustCompile(`(No )?\b([A-Z]\w*[a-z]\w*)=`)

// unexplained returns the faults of a group. Each key needs a comment. The comment of several
// keys names each of them, and no key that the group lacks, unless it says so.
func (g group) unexplained() (faults []string) {
	var named []string
	for _, m := range namedKey.FindAllStringSubmatch(g.comment, -1) {
		if there := slices.Contains(g.keys, m[2]); there != (m[1] == "") {
			faults = append(faults, fmt.Sprintf("found %q in the comment, and the lines %q", m[0], g.keys))
		}
		named = append(named, m[2])
	}
	for _, key := range g.keys {
		if g.comment == "" || len(g.keys) > 1 && !slices.Contains(named, key) {
			faults = append(faults, key+": found no comment that says what it is for")
		}
	}
	return faults
}

// The daemon's unit explains each line of its service.
func TestServiceIsExplained(t *testing.T) {
	b, err := os.ReadFile("nightporter.service")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range groups(string(b)) {
		for _, fault := range g.unexplained() {
			t.Error(fault)
		}
		n += len(g.keys)
	}
	if n < 40 {
		t.Errorf("found %d keys", n)
	}
}

func TestExplanations(t *testing.T) {
	for service, want := range map[string]string{
		"# Why.\nUser=a\n":                             "",
		"# Both (User=, Type=).\nUser=a\nType=b\n":     "",
		"# Why. No Group=: it is made.\nUser=a\n":      "",
		"# Why.\nUser=a\n\nType=b\n":                   "Type: found no comment",
		"# Why (User=).\nUser=a\nType=b\n":             "Type: found no comment",
		"# Why (User=, Group=).\nUser=a\nUser=b\n":     `found "Group=" in the comment`,
		"# Why. No User=.\nUser=a\n":                   `found "No User=" in the comment`,
		"# Of nothing (Type=).\n\n# Why.\nUser=a\n":    `found "Type=" in the comment`,
		"# Why.\nUser=a\n# More.\nType=b\nRestart=c\n": "Type: found no comment that says what it is for\nRestart: found no comment",
	} {
		var faults []string
		for _, g := range groups("[Unit]\nA=b\n\n[Service]\n" + service + "\n[Install]\nB=c\n") {
			faults = append(faults, g.unexplained()...)
		}
		if got := strings.Join(faults, "\n"); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q: %s, want %q", service, got, want)
		}
	}
}
