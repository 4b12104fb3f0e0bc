package yamlerror_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"nightporter/internal/yamlerror"
)

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"yaml: line 3: did not find expected key":                                                   "line 3: not valid YAML: did not find expected key",
		"yaml: unknown anchor 'S3cret' referenced":                                                  "not valid YAML: an alias (*) without its anchor",
		"yaml: cannot decode !!str `S3cret` as a !!int":                                             "not valid YAML: a tag (!!) that does not fit its value",
		"yaml: unmarshal errors:\n  line 1: mapping key \"S3cret\" already defined at line 1":       "line 1: not valid YAML: a key that occurs twice",
		"yaml: unmarshal errors:\n  line 2: field S3cret not found in type x\n  line 4: S3cret":     "line 2: not valid YAML: an unknown key; line 4: not valid YAML",
		"yaml: unmarshal errors:\n  line 5: cannot unmarshal !!str `S3cret` into map[string]string": "line 5: not valid YAML: a value of another type than expected",
		"S3cret": "not valid YAML",
	} {
		if got := yamlerror.Plain(errors.New(text)).Error(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzPlain: an error repeats nothing of any file.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"a: *S3cret", "a: !!int S3cret", "a: 1\na: 2", "{", "\xff", "a: !!float \"line 1: S3cret\"", "[a: b: c", "\"\\x\"", "%S3cret", "a: \"line 1: x\nline 2: y\"\na: 2"} {
		f.Add(s)
	}
	ours := regexp.MustCompile(`^(line [0-9]+: )?not valid YAML(: [a-zA-Z08<>!&*()',}\]:_ -]+)?$`)
	f.Fuzz(func(t *testing.T, s string) {
		var into map[string]any
		err := yaml.Unmarshal([]byte("zQ7secret9Xw: "+s+"\n"+s), &into)
		if err == nil {
			return
		}
		got := yamlerror.Plain(err).Error()
		for part := range strings.SplitSeq(got, "; ") {
			if !ours.MatchString(part) || strings.Contains(part, "zQ7secret9Xw") {
				t.Errorf("%q of %q", got, err)
			}
		}
	})
}
