package main

import (
	"crypto/md5"
	"debug/buildinfo"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// common are the files of a .deb and a .rpm, sorted.
var common = []string{
	"/etc/nightporter/config.yaml",
	"/usr/bin/nightporter",
	"/usr/lib/systemd/system/nightporter.service",
	"/usr/share/bash-completion/completions/nightporter",
	"/usr/share/doc/nightporter/config.example.yaml",
	"/usr/share/fish/vendor_completions.d/nightporter.fish",
	"/usr/share/man/man1/nightporter-check.1.gz",
	"/usr/share/man/man1/nightporter-serve.1.gz",
	"/usr/share/man/man1/nightporter-wake.1.gz",
	"/usr/share/man/man1/nightporter.1.gz",
	"/usr/share/man/man5/nightporter.yaml.5.gz",
	"/usr/share/nightporter/RUNBOOK.md",
	"/usr/share/nightporter/dashboards/machine.json",
	"/usr/share/nightporter/dashboards/overview.json",
	"/usr/share/nightporter/dashboards/porter.json",
	"/usr/share/nightporter/rules/nightporter.alerts.yml",
	"/usr/share/nightporter/rules/nightporter.rules.yml",
}

// A .deb has the files that users and Debian's policy expect, and no others.
func TestDebContent(t *testing.T) {
	path := built(t, older, ".deb")
	var got []string
	for line := range strings.Lines(output(t, "dpkg-deb", "--contents", path)) {
		words := strings.Fields(line)
		if words[1] != "root/root" {
			t.Errorf("not of root: %s", line)
		}
		if words[0][0] == '-' {
			got = append(got, strings.TrimPrefix(words[5], "."))
		}
	}
	wanted(t, got, append([]string{
		"/usr/share/doc/nightporter/changelog.Debian.gz",
		"/usr/share/doc/nightporter/changelog.gz",
		"/usr/share/doc/nightporter/copyright",
		"/usr/share/doc/nightporter/third-party-notices.gz",
		"/usr/share/lintian/overrides/nightporter",
		"/usr/share/zsh/vendor-completions/_nightporter",
	}, common...))
	for field, want := range map[string]string{
		"Package": "nightporter", "Version": "0.1.0-1", "Architecture": "amd64", "Section": "net", "Priority": "optional",
		"Maintainer": maintainer, "Depends": "", // the program is static
	} {
		if got := strings.TrimSpace(output(t, "dpkg-deb", "--field", path, field)); got != want {
			t.Errorf("%s: found %q, want %q", field, got, want)
		}
	}
}

// wanted compares the files of a package with those that it must have. More manual pages and
// dashboards are allowed.
func wanted(t *testing.T, got, want []string) {
	t.Helper()
	for _, path := range want {
		if !slices.Contains(got, path) {
			t.Errorf("%s is not in the package", path)
		}
	}
	more := regexp.MustCompile(`^/usr/share/(man/man1/nightporter-[a-z]+\.1\.gz|nightporter/dashboards/\w+\.json)$`)
	for _, path := range got {
		if !slices.Contains(want, path) && !more.MatchString(path) {
			t.Errorf("%s is in the package, and should not be", path)
		}
	}
}

// The package has the correct sums of its files, and lists its configuration as conffile.
func TestDebControl(t *testing.T) {
	dir := t.TempDir()
	output(t, "dpkg-deb", "--raw-extract", built(t, older, ".deb"), dir)
	sums, err := os.ReadFile(dir + "/DEBIAN/md5sums")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(sums)) {
		sum, path, _ := strings.Cut(strings.TrimSpace(line), "  ")
		b, err := os.ReadFile(filepath.Join(dir, path))
		if found := md5.Sum(b); err != nil || hex.EncodeToString(found[:]) != sum {
			t.Errorf("%s has another sum, %v", path, err)
		}
		n++
	}
	if n < len(common) {
		t.Errorf("only %d sums", n)
	}
	if b, err := os.ReadFile(dir + "/DEBIAN/conffiles"); err != nil || string(b) != "/etc/nightporter/config.yaml\n" {
		t.Errorf("conffiles: %q, %v", b, err)
	}
	notices := output(t, "zcat", dir+"/usr/share/doc/nightporter/third-party-notices.gz")
	for _, want := range []string{"==== Go go1.", "==== github.com/spf13/cobra v", "Apache License", "==== golang.org/x/sys v"} {
		if !strings.Contains(notices, want) {
			t.Errorf("the notices lack %q", want)
		}
	}
	for _, name := range []string{"postinst", "prerm", "postrm"} {
		output(t, "sh", "-n", dir+"/DEBIAN/"+name)
	}
}

// The program in the package is static, has the version of the package, and accepts the
// configuration of the package.
func TestProgramInPackage(t *testing.T) {
	dir := t.TempDir()
	output(t, "dpkg-deb", "--extract", built(t, older, ".deb"), dir)
	path := dir + "/usr/bin/nightporter"
	if out := output(t, path, "version"); !strings.HasPrefix(out, "nightporter 0.1.0 (revision 0123456789, ") {
		t.Errorf("it is %s", out)
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range info.Settings {
		if setting.Key == "CGO_ENABLED" && setting.Value != "0" || strings.HasPrefix(setting.Key, "vcs") {
			t.Errorf("built with %s=%s", setting.Key, setting.Value)
		}
	}
	if out, err := exec.Command(path, "check", "--config", dir+"/etc/nightporter/config.yaml", "--environment", os.DevNull).CombinedOutput(); err != nil {
		t.Errorf("the configuration: %v\n%s", err, out)
	}
}

// lintian reports no error, and no warning without an explained override.
func TestLintian(t *testing.T) {
	out := output(t, "lintian", "--fail-on", "none", "--allow-root", "--show-overrides", built(t, older, ".deb"))
	kinds := map[string]int{}
	for line := range strings.Lines(out) {
		kind, _, _ := strings.Cut(line, ":")
		kinds[kind]++
		if kind == "E" || kind == "W" || strings.Contains(line, "unused-override") {
			t.Error(line)
		}
	}
	if kinds["O"] != 2 || kinds["N"] < kinds["O"] {
		t.Errorf("not every override is needed and explained:\n%s", out)
	}
}

// groff prints no warning about the manual pages, and each has the title of its file.
func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	output(t, "dpkg-deb", "--extract", built(t, older, ".deb"), dir)
	pages, err := filepath.Glob(dir + "/usr/share/man/man*/*.gz")
	if err != nil || len(pages) < 10 {
		t.Fatalf("found %q, %v", pages, err)
	}
	for _, path := range pages {
		name := strings.TrimSuffix(filepath.Base(path), ".gz")
		cmd := exec.Command("sh", "-c", `zcat "$0" | groff -man -Tascii -P-cbou -ww`, path)
		program(t, "groff")
		out, err := cmd.CombinedOutput()
		dot := strings.LastIndex(name, ".")
		if title := strings.ToUpper(name[:dot]) + "(" + name[dot+1:] + ")"; err != nil || !strings.HasPrefix(string(out), title) || strings.Contains(string(out), "warning:") {
			t.Errorf("%s: %v\n%.500s", name, err, out)
		}
		if !strings.Contains(string(out), "nightporter "+older) {
			t.Errorf("%s lacks the version", name)
		}
	}
}

// The completion of bash completes commands by running the program. The test has a stub of
// the functions of the package bash-completion.
func TestBashCompletion(t *testing.T) {
	dir := t.TempDir()
	output(t, "dpkg-deb", "--extract", built(t, older, ".deb"), dir)
	got := output(t, "bash", "-c", `PATH="$0/usr/bin:$PATH"
source "$0/usr/share/bash-completion/completions/nightporter"
_get_comp_words_by_ref() { cur=stat prev=nightporter words=(nightporter stat) cword=1; }
COMP_TYPE=9
__start_nightporter
printf '%s\n' "${COMPREPLY[@]}"`, dir)
	if strings.TrimSpace(got) != "status" {
		t.Errorf("completed is %q", got)
	}
}
