package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// smallMakefile replaces the repository's Makefile: it creates the files of a release.
const smallMakefile = `
image:
	@echo image >$(DIST)/nightporter-image.tar
	@echo program >$(DIST)/nightporter-linux-amd64

packages:
	@for arch in amd64 arm64 armv6; do \
	  name=nightporter-$(VERSION)-linux-$$arch; \
	  mkdir -p $(DIST)/$$name; \
	  cp program $(DIST)/$$name/nightporter; \
	  tar -czf $(DIST)/$$name.tar.gz -C $(DIST) $$name; \
	  rm -r $(DIST)/$$name; \
	done
	@sh ./more
`

// smallRepository creates a repository that is ready for the release 0.2.0, with the build
// of an earlier version in its dist.
func smallRepository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	lay(t, dir, map[string]string{
		"Makefile":     smallMakefile,
		".gitignore":   "/dist/\n",
		"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-11-29\n* It wakes.\n\n## 0.1.0 - 2026-11-01\n* It sleeps.\n",
		"program":      "#!/bin/sh\necho \"nightporter 0.2.0 (revision 0123456789)\"\n",
		"more":         "",

		"dist/nightporter-0.1.0-linux-amd64.tar.gz": "earlier",
		"dist/SHA256SUMS":       "earlier",
		"dist/apt/pool/one.deb": "earlier",

		"dist/nightporter-0.1.0-linux-amd64/nightporter": "unpacked",
	})
	git(t, dir, "init", "--quiet")
	git(t, dir, "config", "status.showUntrackedFiles", "no") // a release has to find new files in any case
	commitAll(t, dir)
	return dir
}

// lay writes files below a directory.
func lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// tree returns the files below a directory. A missing directory has none.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) || err == nil && entry.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	output(t, "git", append([]string{"-C", dir, "-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"}, args...)...)
}

func commitAll(t *testing.T, dir string) {
	t.Helper()
	git(t, dir, "add", "--all")
	git(t, dir, "commit", "--quiet", "--message", "all")
}

// makeRelease runs release and returns its output.
func makeRelease(t *testing.T, dir, version string) (string, error) {
	t.Helper()
	program(t, "make")
	script, err := filepath.Abs("release")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, "dist")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "VERSION="+version, "MAKEFLAGS=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A release replaces the builds in dist, writes the sums and prints the tag. Other files in
// dist stay.
func TestRelease(t *testing.T) {
	dir := smallRepository(t)
	lay(t, dir, map[string]string{"dist/.release/nightporter-0.1.9.tar.gz": "of a run that was killed"})
	out, err := makeRelease(t, dir, "0.2.0")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	commit := strings.TrimSpace(output(t, "git", "-C", dir, "rev-parse", "HEAD"))
	expect(t, "the release", out, "git tag --annotate --message 'nightporter 0.2.0' v0.2.0 "+commit+"\n",
		"git push origin v0.2.0\n", "  dist/nightporter-0.2.0-linux-amd64.tar.gz\n", "  dist/nightporter-image.tar\n", "  dist/SHA256SUMS\n")
	found := tree(t, filepath.Join(dir, "dist"))
	for _, name := range []string{
		"nightporter-0.2.0-linux-amd64.tar.gz", "nightporter-0.2.0-linux-arm64.tar.gz", "nightporter-0.2.0-linux-armv6.tar.gz",
		"nightporter-image.tar", "SHA256SUMS", "apt/pool/one.deb", "nightporter-0.1.0-linux-amd64/nightporter",
	} {
		if _, there := found[name]; !there {
			t.Errorf("dist lacks %s", name)
		}
		delete(found, name)
	}
	if len(found) != 0 {
		t.Errorf("dist also has %v", found)
	}
	sums := output(t, "sh", "-ec", `cd "$0" && sha256sum --check --strict SHA256SUMS`, filepath.Join(dir, "dist"))
	if n := strings.Count(sums, ": OK\n"); n != 4 || strings.Count(sums, "\n") != n {
		t.Errorf("the sums: %s", sums)
	}
}

// The changelog may lack the heading Unreleased, and dist may be missing. A failed build does
// not create it.
func TestReleaseFromFreshClone(t *testing.T) {
	dir := smallRepository(t)
	if err := os.RemoveAll(filepath.Join(dir, "dist")); err != nil {
		t.Fatal(err)
	}
	lay(t, dir, map[string]string{"CHANGELOG.md": "# Changelog\n\n## 0.2.0 - 2026-11-29\n* It wakes.\n", "more": "exit 1"})
	commitAll(t, dir)
	if out, err := makeRelease(t, dir, "0.2.0"); err == nil {
		t.Errorf("a failed build is released\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(dir, "dist")); err == nil {
		t.Error("dist is left")
	}
	lay(t, dir, map[string]string{"more": ""})
	commitAll(t, dir)
	if out, err := makeRelease(t, dir, "0.2.0"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A failed check says what it found and does not change dist.
func TestReleaseRefuses(t *testing.T) {
	const form = "expected a version such as 0.2.0"
	for name, tc := range map[string]struct {
		version string
		files   map[string]string // committed
		loose   map[string]string // not committed
		tag     bool
		want    []string
	}{
		"no version":       {"", nil, nil, false, []string{"VERSION: found , " + form}},
		"a commit":         {"06b6024", nil, nil, false, []string{"VERSION: found 06b6024, " + form}},
		"a tag":            {"v0.2.0", nil, nil, false, []string{"VERSION: found v0.2.0, " + form}},
		"two numbers":      {"0.2", nil, nil, false, []string{"VERSION: found 0.2, " + form}},
		"a leading zero":   {"0.02.0", nil, nil, false, []string{"VERSION: found 0.02.0, " + form}},
		"a candidate":      {"0.2.0-rc1", nil, nil, false, []string{"VERSION: found 0.2.0-rc1, " + form}},
		"two lines":        {"0.2.0\n0.3.0", nil, nil, false, []string{form}},
		"a change":         {"0.2.0", nil, map[string]string{"program": "exit"}, false, []string{"found changes, expected every file to be committed", " M program"}},
		"a new file":       {"0.2.0", nil, map[string]string{"new": ""}, false, []string{"found changes", "?? new"}},
		"released already": {"0.2.0", nil, nil, true, []string{"the tag v0.2.0: found it at commit "}},
		"no entry": {"0.3.0", nil, nil, false,
			[]string{`found "## 0.2.0 - 2026-11-29" as the newest version, expected "## 0.3.0 - YYYY-MM-DD"`}},
		"an older version": {"0.1.0", nil, nil, false, []string{`found "## 0.2.0 - 2026-11-29"`}},
		"no date":          {"0.2.0", map[string]string{"CHANGELOG.md": "## 0.2.0\n"}, nil, false, []string{`found "## 0.2.0" as`}},
		"a wrong date":     {"0.2.0", map[string]string{"CHANGELOG.md": "## 0.2.0 - 2026-11-31\n"}, nil, false, []string{`found "## 0.2.0 - 2026-11-31" as`}},
		"no version yet":   {"0.2.0", map[string]string{"CHANGELOG.md": "## Unreleased\n"}, nil, false, []string{`found "" as`}},
		"no changelog":     {"0.2.0", map[string]string{"CHANGELOG.md": ""}, nil, false, []string{`found "" as`}},
		"unreleased": {"0.2.0", map[string]string{"CHANGELOG.md": "## Unreleased\n\n* It snores.\n\n## 0.2.0 - 2026-11-29\n* It wakes.\n"}, nil, false,
			[]string{`CHANGELOG.md: found "* It snores." under Unreleased, expected nothing there`}},
		"a build that fails": {"0.2.0", map[string]string{"more": "echo no compiler >&2; exit 1"}, nil, false, []string{"no compiler"}},
		"another program": {"0.2.0", map[string]string{"program": "#!/bin/sh\necho nightporter 0.2.00\n"}, nil, false,
			[]string{`nightporter version: found "nightporter 0.2.00", expected nightporter 0.2.0`}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := smallRepository(t)
			if tc.files != nil {
				lay(t, dir, tc.files)
				commitAll(t, dir)
			}
			lay(t, dir, tc.loose)
			if tc.tag {
				git(t, dir, "tag", "--annotate", "--message", "tag", "v"+tc.version)
			}
			before := tree(t, filepath.Join(dir, "dist"))
			out, err := makeRelease(t, dir, tc.version)
			if err == nil {
				t.Error("it is released")
			}
			expect(t, "the error", out, tc.want...)
			unchanged(t, before, tree(t, filepath.Join(dir, "dist")))
		})
	}
}

// unchanged fails for each file that changed.
func unchanged(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s changed", name)
		}
		delete(after, name)
	}
	for name := range after {
		t.Errorf("%s is new", name)
	}
}
