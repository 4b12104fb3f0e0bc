package conventions

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"nightporter/internal/cli"
	"nightporter/internal/config"
	"nightporter/internal/registration"
)

// mention is something that a page says in code: in a span, or in a line of a block.
type mention struct {
	page string
	line int
	text string
	lang string // of the block; empty for a span
}

// mentions returns all code of the pages that describe the product as it is.
func mentions(t *testing.T) []mention {
	t.Helper()
	var all []mention
	for _, p := range pages(t) {
		if p.path == "CHANGELOG.md" { // it tells of what was
			continue
		}
		for _, l := range p.lines {
			if l.code != "" {
				all = append(all, mention{p.path, l.number, l.text, l.code})
			}
		}
		prose := p.prose()
		for _, m := range codeSpan.FindAllStringIndex(prose, -1) {
			all = append(all, mention{p.path, at(prose, m[0]), strings.Trim(prose[m[0]:m[1]], "`"), ""})
		}
	}
	if len(all) < 1000 {
		t.Fatalf("only %d pieces of code are found", len(all))
	}
	return all
}

// commandLines are the commands in a piece of code: what stands between the separators
// of a shell, without sudo, variables and the times of a crontab.
func commandLines(m mention) [][]string {
	switch m.lang {
	case "", "-", "sh", "bash":
	default:
		return nil
	}
	text, _, _ := strings.Cut(m.text, " #")
	var found [][]string
	for _, part := range regexp.MustCompile(`&&|\|\||[|;]`).Split(text, -1) {
		words := strings.Fields(part)
		for len(words) > 0 && (words[0] == "sudo" || words[0] == "$" || strings.Contains(words[0], "=") || strings.Trim(words[0], "0123456789*-/,") == "") {
			words = words[1:]
		}
		if len(words) > 0 {
			found = append(found, words)
		}
	}
	return found
}

// Every command and flag of nightporter that the pages name exists, and every command is
// described.
func TestDocsCommands(t *testing.T) {
	root := cli.NewRootCommand()
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	described := map[string]bool{}
	for _, m := range mentions(t) {
		for _, words := range commandLines(m) {
			if filepath.Base(words[0]) != "nightporter" || len(words) == 1 || strings.Contains(words[1], "_") {
				continue
			}
			cmd := root
			if !strings.HasPrefix(words[1], "-") {
				cmd = commandNamed(root, words[1])
			}
			if cmd == nil {
				t.Errorf("%s:%d: there is no command %q in %q", m.page, m.line, words[1], m.text)
				continue
			}
			if m.page == "docs/api.md" {
				described[cmd.Name()] = true
			}
			cmd.InitDefaultHelpFlag()
			for _, word := range words[1:] {
				if name := flagName(word); name != "" && !hasFlag(cmd, name) {
					t.Errorf("%s:%d: nightporter %s has no flag %s", m.page, m.line, cmd.Name(), word)
				}
			}
		}
	}
	for _, cmd := range root.Commands() {
		if !cmd.Hidden && cmd.Name() != "help" && !described[cmd.Name()] {
			t.Errorf("docs/api.md does not describe nightporter %s", cmd.Name())
		}
	}
}

func commandNamed(root *cobra.Command, name string) *cobra.Command {
	for _, cmd := range root.Commands() {
		if cmd.Name() == name || cmd.HasAlias(name) {
			return cmd
		}
	}
	return nil
}

// flagName returns the name of a flag that a word sets, or "".
func flagName(word string) string {
	if !regexp.MustCompile(`^-(-[a-z][\w.-]*(=.*)?|[a-z])$`).MatchString(word) {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	return name
}

func hasFlag(cmd *cobra.Command, name string) bool {
	for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.InheritedFlags()} {
		if set.Lookup(name) != nil || len(name) == 1 && set.ShorthandLookup(name) != nil {
			return true
		}
	}
	return false
}

// A flag that stands alone in the text belongs to a command or to the script of
// deploy/machine; those of other programs stand with them.
func TestDocsFlags(t *testing.T) {
	script := source(t, "deploy/machine/nightporter-register.py")
	root := cli.NewRootCommand()
	root.InitDefaultVersionFlag()
	for _, m := range mentions(t) {
		word, _, _ := strings.Cut(m.text, " ")
		name := flagName(word)
		if m.lang != "" || len(name) < 2 || name == "help" || strings.Contains(script, `add_argument("--`+name+`"`) {
			continue
		}
		if !hasFlag(root, name) && !slices.ContainsFunc(root.Commands(), func(cmd *cobra.Command) bool { return hasFlag(cmd, name) }) {
			t.Errorf("%s:%d: no command has the flag %s", m.page, m.line, word)
		}
	}
}

// Every target of make that the pages name is in the Makefile.
func TestDocsMakeTargets(t *testing.T) {
	makefile := source(t, "Makefile")
	for _, m := range mentions(t) {
		for _, words := range commandLines(m) {
			if words[0] != "make" {
				continue
			}
			for _, target := range words[1:] {
				if !strings.Contains(target, "=") && !strings.Contains(makefile, "\n"+target+":") {
					t.Errorf("%s:%d: make has no target %q", m.page, m.line, target)
				}
			}
		}
	}
}

// source is a file of the repository.
func source(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

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

// blocks returns the code blocks of all pages, each in one piece without the indent of
// its fence.
func blocks(t *testing.T) []mention {
	t.Helper()
	var all []mention
	for _, p := range pages(t) {
		var lines []string
		indent := ""
		for i, l := range p.lines {
			if l.code == "-" && fence.MatchString(l.text) {
				indent = l.text[:len(l.text)-len(strings.TrimLeft(l.text, " "))]
				continue
			}
			if l.code == "" || l.code == "-" {
				continue
			}
			lines = append(lines, strings.TrimPrefix(l.text, indent))
			if i+1 == len(p.lines) || p.lines[i+1].code != l.code {
				all = append(all, mention{p.path, l.number - len(lines) + 1, strings.Join(lines, "\n") + "\n", l.code})
				lines = nil
			}
		}
	}
	return all
}
