package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestParseEnvironment(t *testing.T) {
	const text = "# a comment\n; another\n\n  A=plain text \nB = \"in \\\"quotes\\\" \\n\"\nC='as \\ is'\nD=a\\ b'c d'\nE=\n"
	want := []string{"A=plain text", `B=in "quotes" \n`, `C=as \ is`, "D=a bc d", "E="}
	if got, err := parseEnvironment(text); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for text, want := range map[string]string{
		"A=1\nB\n":       "line 2: expected NAME=value",
		"=1\n":           "line 1: expected NAME=value",
		"export A=1\n":   "line 1: expected NAME=value",
		"A='1\n2'\n":     "line 1: A: expected a value that ends on its line, quotes included",
		"\nA=\"1\n":      "line 2: A: expected a value that ends on its line, quotes included",
		"A=goes on \\\n": "line 1: A: expected a value that ends on its line, quotes included",
	} {
		if got, err := parseEnvironment(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %q, %v, want %s", text, got, err, want)
		}
	}
}

// Values that were read are the same when they are read again in single quotes.
func FuzzParseEnvironment(f *testing.F) {
	f.Add("A=b\nB='c \\ d'\nC=\"e\\\"\"\n# f")
	f.Fuzz(func(t *testing.T, text string) {
		vars, err := parseEnvironment(text)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, v := range vars {
			name, value, _ := strings.Cut(v, "=")
			again.WriteString(name + "='" + strings.ReplaceAll(value, "'", `'\''`) + "'\n")
		}
		if read, err := parseEnvironment(again.String()); err != nil || !slices.Equal(vars, read) {
			t.Errorf("%q was read as %q, and again as %q, %v", text, vars, read, err)
		}
	})
}
