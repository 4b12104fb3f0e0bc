package config_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"nightporter/internal/config"
)

// reference is the file that operators start from. It has three parts: what most people set,
// every key with its default, and every setting of a machine.
const reference = "../../config.example.yaml"

const (
	titleAdvanced = "# ---- Advanced: every key with its default ----\n"
	titleMachine  = "# ---- Advanced: every setting of a machine ----\n"
)

// parts returns the three parts of the reference.
func parts(t *testing.T) (first, advanced, machine string) {
	t.Helper()
	b, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	first, rest, ok := strings.Cut(string(b), titleAdvanced)
	advanced, machine, both := strings.Cut(rest, titleMachine)
	if !ok || !both {
		t.Fatalf("%s lacks the title %q or %q", reference, titleAdvanced, titleMachine)
	}
	return first, advanced, machine
}

// uncomment removes the "#" of settings. A comment has a space after it.
func uncomment(text string) string {
	return regexp.MustCompile(`(?m)^#([^ \n]| {2,})`).ReplaceAllString(text, "$1")
}

// The reference without changes equals the defaults.
func TestReferenceIsTheDefault(t *testing.T) {
	c, err := config.Load(reference, true, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, c, config.Default())
}

// The first part works when it is taken out of its comments.
func TestReferenceBegins(t *testing.T) {
	first, _, _ := parts(t)
	c := load(t, uncomment(first), nil)
	want := config.Default()
	for _, path := range config.Changed(want, c) {
		if !strings.Contains("machines wake.local wake.attempts wake.timeout notify.urls interfaces", path) {
			t.Errorf("%s is set, which few people need", path)
		}
	}
	if got := len(config.Changed(want, c)); got != 6 {
		t.Errorf("%d keys are set, want those 6: %q", got, config.Changed(want, c))
	}
	if len(c.Machines) != 2 || !c.Machines[0].Agentless {
		t.Errorf("got %+v", c.Machines)
	}
	if lines := strings.Count(first, "\n"); lines > 45 {
		t.Errorf("the first part has %d lines, want at most 45: a screen", lines)
	}
	for line := range strings.Lines(first) {
		if len(line) > width+1 && !strings.HasPrefix(line, "#  - {") { // an entry of machines stands on one line
			t.Errorf("a line of %d letters, want at most %d: %s", len(line)-1, width, line)
		}
	}
}

// The second part has the defaults when it is taken out of its comments; internal/configdoc writes
// it.
func TestReferenceHasEveryKey(t *testing.T) {
	_, advanced, _ := parts(t)
	same(t, load(t, uncomment(advanced), nil), config.Default())
	for _, k := range config.Keys() {
		if _, name, nested := strings.Cut(k.Path, "."); nested && !strings.Contains(advanced, "\n#  "+name+": "+k.Default+"\n") {
			t.Errorf("the example lacks %s: %s", k.Path, k.Default)
		}
	}
}

// width is the longest line of the first part, in bytes.
const width = 80

// The machine of the third part can be used as it stands, and shows every setting.
func TestReferenceMachine(t *testing.T) {
	_, _, example := parts(t)
	example = uncomment(example)
	c := load(t, example, nil)
	if len(c.Machines) != 1 || c.Machines[0].Name != "tower" || len(c.Machines[0].Own()) != 2 || len(c.Machines[0].Guests()) != 1 || len(c.Machines[0].Password) != 6 {
		t.Errorf("got %+v", c.Machines)
	}
	for line := range strings.Lines(effective(t, c)) {
		name, _, isMember := strings.Cut(strings.TrimSpace(line), ":")
		if isMember && strings.HasPrefix(line, "    ") && !strings.Contains(example, strings.TrimPrefix(name, "- ")+":") {
			t.Errorf("the example lacks %s", name)
		}
	}
}
