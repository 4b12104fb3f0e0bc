package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// runCommand runs a command line and returns its exit code and output.
func runCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// contains reports whether all words are in s.
func contains(s string, words ...string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(s, w) })
}

// The help lists the commands by group, and each command has a help with an example.
func TestHelp(t *testing.T) {
	code, out, errs := runCommand(t, "--help")
	if code != 0 || errs != "" {
		t.Fatalf("exit code %d, %q", code, errs)
	}
	rest := out
	for _, word := range []string{
		"Examples:", "The porter:", "check", "serve", "Use a running porter:", "events", "forget", "status", "wake",
		"On a machine that sleeps:", "register", "More:", "completion", "help", "version", "--version",
	} {
		_, after, found := strings.Cut(rest, word)
		if !found {
			t.Fatalf("%q is missing or out of order in\n%s", word, out)
		}
		rest = after
	}
	for _, cmd := range NewRootCommand().Commands() {
		if cmd.Name() == "version" || cmd.Name() == "help" {
			continue
		}
		_, out, _ := runCommand(t, cmd.Name(), "--help")
		for _, word := range []string{"Examples:", "xit code 0"} {
			if !strings.Contains(out, word) {
				t.Errorf("the help of %s lacks %q", cmd.Name(), word)
			}
		}
	}
}

// The help of completion names the shells.
func TestCompletionHelp(t *testing.T) {
	if code, out, errs := runCommand(t, "completion"); code != 0 || errs != "" || !contains(out, "bash", "fish", "zsh") {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
	if code, out, errs := runCommand(t, "completion", "bash"); code != 0 || errs != "" || !contains(out, "__start_nightporter") {
		t.Errorf("exit code %d, %d bytes, %q", code, len(out), errs)
	}
}

// Placeholders of flags are in capitals, and the keys of the configuration are a list of
// their own.
func TestPlaceholders(t *testing.T) {
	_, out, _ := runCommand(t, "serve", "--help")
	before, after, _ := strings.Cut(out, "\n\nFlags for the keys of the configuration:\n")
	if !contains(before, "Exit code 0", "Usage:\n  nightporter serve [flags]\n", "Examples:", "--config FILE", "--help") || strings.Contains(after, "--config") || strings.Contains(out, "token TEXT") {
		t.Errorf("printed\n%s", out)
	}
	for _, want := range []string{"--wake.attempts NUMBER", "--log.level WORD", "--wake.interval DURATION", "--interfaces NAME,..."} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestVersion(t *testing.T) {
	_, want, _ := runCommand(t, "version")
	if !strings.HasPrefix(want, "nightporter ") || !strings.Contains(want, "(revision ") || strings.Count(want, "\n") != 1 {
		t.Errorf("version: %q", want)
	}
	for _, flag := range []string{"--version", "-v"} {
		if code, out, errs := runCommand(t, flag); code != 0 || out != want || errs != "" {
			t.Errorf("%s: exit code %d, %q, %q", flag, code, out, errs)
		}
	}
}
