package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSourceDate(t *testing.T) {
	if got, err := sourceDate("1795913338"); err != nil || !got.Equal(commit) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "now", "-1", "1.5"} {
		if _, err := sourceDate(bad); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH: found \""+bad+"\"") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestChosen(t *testing.T) {
	names := func(only string) []string {
		found, err := chosen(only, newer)
		if err != nil {
			return []string{err.Error()}
		}
		var all []string
		for _, target := range found {
			all = append(all, target.file(newer))
		}
		return all
	}
	want := []string{
		"nightporter_0.2.0-1_amd64.deb", "nightporter_0.2.0-1_arm64.deb", "nightporter_0.2.0-1_armhf.deb",
		"nightporter-0.2.0-1.x86_64.rpm", "nightporter-0.2.0-1.aarch64.rpm",
		"nightporter-0.2.0-linux-amd64.tar.gz", "nightporter-0.2.0-linux-arm64.tar.gz", "nightporter-0.2.0-linux-armv7.tar.gz", "nightporter-0.2.0-linux-armv6.tar.gz",
	}
	if got := names(""); !slices.Equal(got, want) {
		t.Errorf("all are %q", got)
	}
	if got := names("armv6.tar.gz,.rpm"); !slices.Equal(got, []string{want[8], want[3], want[4]}) {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{"sparc.deb", ".deb,", ","} {
		if got := names(bad); len(got) != 1 || !strings.HasPrefix(got[0], "-only: found ") {
			t.Errorf("%q: got %q", bad, got)
		}
	}
}

// Each file is built for the processor in its name. armhf has to run on ARMv6.
func TestPlatforms(t *testing.T) {
	for suffix, want := range map[string]platform{
		"amd64.deb": {"amd64", ""}, "arm64.deb": {"arm64", ""}, "armhf.deb": {"arm", "6"}, "x86_64.rpm": {"amd64", ""}, "aarch64.rpm": {"arm64", ""},
		"-amd64.tar.gz": {"amd64", ""}, "-arm64.tar.gz": {"arm64", ""}, "armv7.tar.gz": {"arm", "7"}, "armv6.tar.gz": {"arm", "6"},
	} {
		found, err := chosen(suffix, newer)
		if err != nil || len(found) != 1 || found[0].build != want {
			t.Errorf("%s: %v, %v", suffix, found, err)
		}
	}
}

// Wrong input builds no package.
func TestBadInput(t *testing.T) {
	out := filepath.Join(t.TempDir(), "dist")
	for _, tc := range []struct{ epoch, version, only, want string }{
		{"", "0.1.0", "", "SOURCE_DATE_EPOCH"},
		{"1", "one", "", "version: found \"one\""},
		{"1", "0.1.0", "amd64.msi", "-only: found \"amd64.msi\""},
	} {
		err := run(t.Context(), options{repository: "../..", out: out, describe: tc.version, epoch: tc.epoch, only: tc.only})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
	if found, _ := filepath.Glob(out); found != nil {
		t.Errorf("made %s", out)
	}
}
