package config_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"nightporter/internal/config"
)

// reference is the file that operators start from. It has three parts, each under a
// title: what most people set, every key with its default, and every setting of a
// machine.
const reference = "../../config.example.yaml"

const (
	titleAdvanced = "# ---- Advanced: every key with its default ----\n"
	titleMachine  = "# ---- Advanced: every setting of a machine ----\n"
)

var update = flag.Bool("update", false, "write the keys and their help into config.example.yaml")

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

// uncomment makes settings of the lines that are commented out. A comment has a space
// behind the "#".
func uncomment(text string) string {
	return regexp.MustCompile(`(?m)^#([^ \n]| {2,})`).ReplaceAllString(text, "$1")
}

// As it stands the reference changes nothing.
func TestReferenceIsTheDefault(t *testing.T) {
	c, err := config.Load(reference, true, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, c, config.Default())
}

// What most people set stands first, and works when it is taken out of its comments.
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
		if len(line) > width+1 {
			t.Errorf("a line of %d letters, want at most %d: %s", len(line)-1, width, line)
		}
	}
}

// The second part has every key but machines once, in the order of the table, with its
// help above it and its default.
func TestReferenceHasEveryKey(t *testing.T) {
	first, advanced, machine := parts(t)
	want := "\n" + everyKey() + "\n"
	if *update {
		if err := os.WriteFile(reference, []byte(first+titleAdvanced+want+titleMachine+machine), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if advanced != want {
		t.Errorf("%s is not what the table of keys says; go test ./internal/config -run Reference -update writes it:\n%s", reference, advanced)
	}
	same(t, load(t, uncomment(advanced), nil), config.Default())
}

// sections are what is said of a section above its keys.
var sections = map[string]string{
	"registration": "How machines say that they are about to sleep.",
	"probe":        "How to find out that a machine is off.",
	"watch":        "How to notice a machine that goes off without a word.",
	"claim":        "How to answer for a machine that is off.",
	"hold":         "The handover to a machine that has booted.",
	"notify":       "Notifications. Each service has its own form of URL, see https://shoutrrr.nickfedor.com.",
}

// everyKey is every key but machines, commented out.
func everyKey() string {
	var b strings.Builder
	section := ""
	for _, k := range config.Keys() {
		if k.Path == "machines" {
			continue
		}
		of, name, nested := strings.Cut(k.Path, ".")
		if !nested {
			of, name = "", k.Path
		}
		if of != section || of == "" {
			b.WriteString("\n")
		}
		if of != section && of != "" {
			comment(&b, "# ", sections[of])
			b.WriteString("#" + of + ":\n")
		}
		section = of
		indent, prefix := "", "# "
		if nested {
			indent, prefix = "  ", "#  # "
		}
		help := k.Help
		if k.Restart {
			help += " [restart]"
		}
		comment(&b, prefix, help)
		b.WriteString("#" + indent + name + ": " + k.Default + "\n")
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// width is how long a line of the reference may be.
const width = 100

// comment writes text in lines that begin with prefix.
func comment(b *strings.Builder, prefix, text string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(prefix)+len(line)+1+len(word) > width {
			b.WriteString(prefix + line + "\n")
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	if line != "" {
		b.WriteString(prefix + line + "\n")
	}
}

// The machine of the third part can be used as it stands, and shows every setting.
func TestReferenceMachine(t *testing.T) {
	_, _, example := parts(t)
	example = uncomment(example)
	c := load(t, example, nil)
	if len(c.Machines) != 1 || c.Machines[0].Name != "tower" || len(c.Machines[0].Own()) != 2 || len(c.Machines[0].Hosted()) != 1 || len(c.Machines[0].Password) != 6 {
		t.Errorf("got %+v", c.Machines)
	}
	for line := range strings.Lines(effective(t, c)) {
		name, _, isMember := strings.Cut(strings.TrimSpace(line), ":")
		if isMember && strings.HasPrefix(line, "    ") && !strings.Contains(example, strings.TrimPrefix(name, "- ")+":") {
			t.Errorf("the example lacks %s", name)
		}
	}
}
