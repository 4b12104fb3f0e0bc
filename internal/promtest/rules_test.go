package promtest

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	shippedRules = "../../dashboards/rules"
	runbook      = "../../dashboards/RUNBOOK.md"
	// runbookURL is where the runbook is read; what follows is the anchor.
	runbookURL = "https://github.com/nightporter/nightporter/blob/main/dashboards/RUNBOOK.md#"
)

// rule is a recording rule or an alert.
type rule struct {
	Record        string
	Alert         string
	Expr          string
	For           string
	KeepFiringFor string `yaml:"keep_firing_for"`
	Labels        map[string]string
	Annotations   map[string]string
}

// rules returns those of all files, in their order.
func rules(t *testing.T) []rule {
	t.Helper()
	var all []rule
	for _, file := range files(t, shippedRules) {
		var content struct {
			Groups []struct {
				Name     string
				Interval string
				Rules    []rule
			}
		}
		decode(t, file, &content)
		for _, g := range content.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.yml"))
	if err != nil || len(all) < 2 {
		t.Fatalf("%q in %s: %v; expected two files or more", all, dir, err)
	}
	return all
}

// decode reads a YAML file, all of whose keys are to be known.
func decode(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestPromtoolChecksRules(t *testing.T) {
	Need(t, Promtool)
	args := append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, files(t, shippedRules)...)
	Run(t, nil, Promtool, args...)
}

func TestPromtoolTestsRules(t *testing.T) {
	Need(t, Promtool)
	for _, file := range files(t, filepath.Join(shippedRules, "tests")) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			Run(t, nil, Promtool, "test", "rules", file)
		})
	}
}

var (
	alertName  = regexp.MustCompile(`^Nightporter([A-Z][a-z]+)+$`)
	recordName = regexp.MustCompile(`^machine:nightporter_[a-z_]+:[a-z0-9]+$`)
	sentence   = regexp.MustCompile(`^([^.{]|\{\{[^}]*\}\})+\.$`)
)

func TestAlertsSayWhatToDo(t *testing.T) {
	sections := sectionsOf(t, runbook)
	seen := make(map[string]bool)
	for _, r := range rules(t) {
		if r.Alert == "" {
			if !recordName.MatchString(r.Record) || len(r.Annotations) > 0 {
				t.Errorf("%s is not named level:metric:operations, or has annotations", r.Record)
			}
			continue
		}
		if !alertName.MatchString(r.Alert) || seen[r.Alert] {
			t.Errorf("%s: the name is taken, or is not as those of the others", r.Alert)
		}
		seen[r.Alert] = true
		switch severity := r.Labels["severity"]; severity {
		case "critical", "warning", "info":
		default:
			t.Errorf("%s: severity: found %q, expected critical, warning or info", r.Alert, severity)
		}
		if len(r.Labels) != 1 || len(r.Annotations) != 3 {
			t.Errorf("%s: found labels %v and annotations %v; expected severity, and summary, description and runbook_url", r.Alert, r.Labels, r.Annotations)
		}
		if s := r.Annotations["summary"]; !sentence.MatchString(s) {
			t.Errorf("%s: summary: found %q, expected one sentence", r.Alert, s)
		}
		if d := r.Annotations["description"]; !strings.Contains(d, " First ") {
			t.Errorf("%s: description: found %q, expected it to say what to do first", r.Alert, d)
		}
		anchor, ok := strings.CutPrefix(r.Annotations["runbook_url"], runbookURL)
		if !ok || anchor != strings.ToLower(r.Alert) {
			t.Errorf("%s: runbook_url: found %q, expected %s", r.Alert, r.Annotations["runbook_url"], runbookURL+strings.ToLower(r.Alert))
		}
		text := sections[r.Alert]
		for _, part := range []string{"**What it means.** ", "**How to look.** ", "**What to do.** "} {
			if strings.Count(text, "\n"+part) != 1 {
				t.Errorf("%s: the runbook's section lacks %q, or there is none", r.Alert, part)
			}
		}
	}
	for name := range sections {
		if alertName.MatchString(name) && !seen[name] {
			t.Errorf("%s has a section in the runbook, but there is no such alert", name)
		}
	}
}

// sectionsOf returns the texts below the headings of a Markdown file. GitHub's
// anchor of a heading of letters alone is the heading in lower case.
func sectionsOf(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	heading := ""
	for line := range strings.Lines(string(b)) {
		if h := strings.TrimLeft(line, "#"); h != line {
			heading = strings.TrimSpace(h)
			if _, twice := sections[heading]; twice {
				t.Errorf("%s: the heading %q is there twice", path, heading)
			}
			sections[heading] = "\n"
			continue
		}
		sections[heading] += line
	}
	return sections
}

var link = regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)

// TestRunbookLinks follows the runbook's links within the repository.
func TestRunbookLinks(t *testing.T) {
	b, err := os.ReadFile(runbook)
	if err != nil {
		t.Fatal(err)
	}
	anchors := make(map[string]bool)
	for heading := range sectionsOf(t, runbook) {
		anchors["#"+strings.ToLower(strings.ReplaceAll(heading, " ", "-"))] = true
	}
	for _, m := range link.FindAllStringSubmatch(string(b), -1) {
		path, anchor := m[1], m[2]
		if path == "" && !anchors[anchor] {
			t.Errorf("%s: there is no such section", anchor)
		}
		if path == "" || strings.Contains(path, "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(runbook), path)); err != nil {
			t.Errorf("%s: %v", m[0], err)
		}
	}
}
