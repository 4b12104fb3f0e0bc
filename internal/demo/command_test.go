package demo

import (
	"bytes"
	"testing"
)

// TestUsageErrors: a wrong command line is exit code 2 and one line on stderr.
func TestUsageErrors(t *testing.T) {
	for arg, want := range map[string]string{
		"now":    "nightporter-demo: found \"now\", expected no argument\n",
		"--nope": "nightporter-demo: unknown flag: --nope\n",
	} {
		var out, errs bytes.Buffer
		if code := Main(t.Context(), []string{arg}, &out, &errs); code != wrongUsage || errs.String() != want || out.Len() > 0 {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", arg, code, &out, &errs)
		}
	}
}
