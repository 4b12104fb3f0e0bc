package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// There is a page for the program and for each command, with its purpose, flags and
// examples.
func TestMan(t *testing.T) {
	dir := t.TempDir()
	if code, out, errs := runCommand(t, "man", dir); code != 0 || out != "" || errs != "" {
		t.Fatalf("exit code %d, %q, %q", code, out, errs)
	}
	root := NewRootCommand()
	root.InitDefaultCompletionCmd()
	for _, cmd := range append(documentedCommands(root), root) {
		path := filepath.Join(dir, pageName(cmd)+".1")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		page := strings.NewReplacer(`\-`, "-", `\(aq`, "'", `\fB`, "", `\fR`, "").Replace(string(b))
		wants := []string{pageName(cmd) + " - " + cmd.Short, firstWords(cmd), "SEE ALSO", "nightporter.yaml(5)"}
		for _, c := range documentedCommands(cmd) {
			wants = append(wants, "\n"+c.Name()+"\n")
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !configKeys()[f.Name] {
				wants = append(wants, optionTerm(f)+"\n.nh\n.ad l\n"+optionText(f))
			}
		})
		if strings.Contains(page, "--wake.interval") {
			t.Errorf("%s repeats the keys of the configuration", path)
		}
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
	}
	if found, err := filepath.Glob(dir + "/*"); err != nil || len(found) != len(documentedCommands(root))+1 {
		t.Errorf("found %q, %v", found, err)
	}
}

// firstWords returns the first words of a command's example, or its name without an
// example.
func firstWords(cmd *cobra.Command) string {
	words := strings.Fields(cmd.Example)
	if len(words) < 2 {
		return cmd.Name()
	}
	return strings.Join(words[:2], " ")
}

func TestManWithoutDirectory(t *testing.T) {
	if code, _, errs := runCommand(t, "man"); code != wrongUsage || !strings.Contains(errs, "expected one directory") {
		t.Errorf("exit code %d, %q", code, errs)
	}
	if code, _, errs := runCommand(t, "man", filepath.Join(t.TempDir(), "missing")); code != 1 || !strings.Contains(errs, "missing/nightporter.1") {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

// The page has the shorthand, the value and the default of each flag, unless that is empty.
func TestManOption(t *testing.T) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.StringP("file", "f", "/a", "the `FILE` to read")
	fs.Bool("plain", false, "say less")
	fs.Int("retries", -1, "try `N` times (-1: for ever)")
	for name, want := range map[string]string{
		"file": "-f, --file FILE: the FILE to read (default /a)", "plain": "--plain: say less", "retries": "--retries N: try N times (-1: for ever)",
	} {
		if f := fs.Lookup(name); optionTerm(f)+": "+optionText(f) != want {
			t.Errorf("%s: %s", optionTerm(f), optionText(f))
		}
	}
}
