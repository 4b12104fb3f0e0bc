package conventions

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightporter/internal/cli"
)

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
