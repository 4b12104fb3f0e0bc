package shell_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"nightporter/internal/shell"
)

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"/etc/nightporter/config.yaml": "/etc/nightporter/config.yaml", "": "''", "my nas": "'my nas'", "a'b": `'a'\''b'`, "$(x)": "'$(x)'", "ä": "'ä'", "\n": "'\n'",
	} {
		if got := shell.Quote(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

// FuzzQuote: a shell takes what is quoted for that text, and runs nothing of it.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"nas", "x';touch pwned;'", "$(touch pwned)", "`touch pwned`", "\\'", "'\\''", "-n", "a\nb", "!x", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			return // no argument can have one
		}
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "printf %s. "+shell.Quote(s))
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != s+"." {
			t.Errorf("%q is %q for the shell, %v", s, out, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%q left %v, %v", s, left, err)
		}
	})
}
