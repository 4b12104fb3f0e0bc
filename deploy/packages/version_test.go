package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

var commit = time.Unix(1795913338, 0)

func TestPackageVersion(t *testing.T) {
	for describe, want := range map[string]string{
		"27db89e":                 "0.0.0~20261129004858.27db89e",
		"27db89e-dirty":           "0.0.0~20261129004858.27db89e.dirty",
		"0.2.1":                   "0.2.1",
		"v0.2.1":                  "0.2.1",
		"v0.2.1-dirty":            "0.2.1+dirty",
		"v0.2.1-rc1":              "0.2.1~rc1",
		"v1.10.0-beta.2":          "1.10.0~beta.2",
		"v0.2.1-3-g27db89e":       "0.2.1+3.g27db89e",
		"v0.2.1-rc1-3-g27db89e":   "0.2.1~rc1+3.g27db89e",
		"0.2.1-12-g27db89e-dirty": "0.2.1+12.g27db89e+dirty",
	} {
		if got, err := packageVersion(describe, commit); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", describe, got, err, want)
		}
	}
	for _, bad := range []string{"", "unknown", "v1", "1.2", "1.2.3-", "1.2.3-nightly", "1.2.3 ", "x1.2.3", "1.2.3-3-gxyz", "dirty"} {
		if got, err := packageVersion(bad, commit); err == nil || !strings.Contains(err.Error(), "found \""+bad+"\", expected") {
			t.Errorf("%q: got %q, %v", bad, got, err)
		}
	}
}

// dpkg sorts the versions by time.
func TestVersionsSort(t *testing.T) {
	dpkg := program(t, "dpkg")
	order := []string{"27db89e", "v0.2.0-alpha.1", "v0.2.0-rc1", "v0.2.0-rc1-1-gaaaaaaa", "v0.2.0-rc2", "v0.2.0", "v0.2.0-2-gbbbbbbb", "v0.2.0-10-gaaaaaaa", "v0.2.1", "v0.10.0"}
	versions := make([]string, len(order))
	for i, describe := range order {
		var err error
		if versions[i], err = packageVersion(describe, commit); err != nil {
			t.Fatal(err)
		}
	}
	later, err := packageVersion("0000000", commit.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	versions = append([]string{versions[0], later}, versions[1:]...)
	for i := range versions[1:] {
		if out, err := exec.Command(dpkg, "--compare-versions", versions[i], "lt", versions[i+1]).CombinedOutput(); err != nil {
			t.Errorf("%s is not before %s: %v %s", versions[i], versions[i+1], err, out)
		}
	}
}

// FuzzPackageVersion: a version has only characters that both formats accept, and no
// revision.
func FuzzPackageVersion(f *testing.F) {
	for _, s := range []string{"27db89e-dirty", "v0.2.1-rc1-3-g27db89e", "1.2.3-beta.2", "1.2.3\n", "1.2.3-rc-1-g0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, describe string) {
		got, err := packageVersion(describe, commit)
		if err == nil && strings.Trim(got, "0123456789abcdefghijklmnopqrstuvwxyz.~+") != "" {
			t.Errorf("%q: %q", describe, got)
		}
	})
}
