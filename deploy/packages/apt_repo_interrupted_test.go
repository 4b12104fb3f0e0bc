package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A run that is killed after any of its renames leaves a repository with every file that
// InRelease names, so that clients can fetch at any time. The next run completes it.
func TestAptRepositoryIsWholeAtEachStep(t *testing.T) {
	s := newSigner(t, "one@example.org")
	first, second, tools := t.TempDir(), t.TempDir(), t.TempDir()
	out := filepath.Join(t.TempDir(), "apt")
	smallPackages(t, first, "0.1.0-1")
	smallPackages(t, second, "0.2.0-1")
	s.mustRepository(first, out, "one@example.org", "https://example.org/apt")

	lay(t, tools, map[string]string{"mv": `#!/bin/sh
read -r left <"$LEFT" && [ "$left" -gt 0 ] && echo $((left - 1)) >"$LEFT" && exec /bin/mv "$@"
`})
	if err := os.Chmod(filepath.Join(tools, "mv"), 0o755); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(tools, "left")
	t.Setenv("LEFT", left)
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	before := whole(t, out)
	steps := 0
	for ; ; steps++ {
		lay(t, tools, map[string]string{"left": strconv.Itoa(steps) + "\n"})
		_, err := s.repository(second, out, "one@example.org", "")
		packages := whole(t, out)
		if err == nil {
			if packages != before+3 {
				t.Errorf("in the end there are %d packages", packages)
			}
			break
		}
		if packages != before {
			t.Fatalf("after %d renames there are %d packages", steps, packages)
		}
		if steps > 100 {
			t.Fatal("it never ends")
		}
	}
	if steps < 15 {
		t.Errorf("it took %d renames alone", steps)
	}
}

// whole fails unless every index that InRelease names exists by its hash, and every package
// that the indexes name. It returns the number of packages.
func whole(t *testing.T, out string) int {
	t.Helper()
	files := tree(t, out)
	n := 0
	for _, index := range regexp.MustCompile(`(?m)^ ([0-9a-f]{64}) +\d+ (\S+)/(\S+)$`).FindAllStringSubmatch(files["dists/stable/InRelease"], -1) {
		text := files["dists/stable/"+index[2]+"/by-hash/SHA256/"+index[1]]
		if sum(text) != index[1] {
			t.Errorf("there is no %s/%s by its hash", index[2], index[3])
		}
		if index[3] != "Packages" {
			continue
		}
		for entry := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
			name := regexp.MustCompile(`(?m)^Filename: (.+)$`).FindStringSubmatch(entry)
			want := regexp.MustCompile(`(?m)^SHA256: (.+)$`).FindStringSubmatch(entry)
			if name == nil || want == nil || sum(files[name[1]]) != want[1] {
				t.Errorf("a package is not there:\n%s", entry)
			}
			n++
		}
	}
	return n
}

// Two concurrent runs would each publish an index without the packages of the other, so the
// second one fails. After a killed run the error names the files to remove.
func TestAptRepositoryAfterAKill(t *testing.T) {
	s := newSigner(t, "one@example.org")
	dist, tools := t.TempDir(), t.TempDir()
	out := filepath.Join(t.TempDir(), "apt")
	smallPackages(t, dist, "0.1.0-1")
	lay(t, tools, map[string]string{"gzip": "#!/bin/sh\nkill -KILL $PPID\n"})
	if err := os.Chmod(filepath.Join(tools, "gzip"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := os.Getenv("PATH")
	t.Setenv("PATH", tools+":"+path)
	if printed, err := s.repository(dist, out, "one@example.org", ""); err == nil {
		t.Fatalf("it was not killed:\n%s", printed)
	}
	t.Setenv("PATH", path)
	before := tree(t, out)
	printed, err := s.repository(dist, out, "one@example.org", "")
	if err == nil {
		t.Error("it runs beside another")
	}
	remedy := "rm -r '" + out + "/.stage'"
	expect(t, "the error", printed, out+"/.stage: found the files of another run, expected none", ": "+remedy)
	unchanged(t, before, tree(t, out))
	output(t, "sh", "-c", remedy)
	s.mustRepository(dist, out, "one@example.org", "")
	s.mustRepository(dist, out, "one@example.org", "")
}
