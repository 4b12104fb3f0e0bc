package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// repositoryOf creates a repository of a version in the folder /srv/apt of a host. It is the
// host's only source.
func (h *host) repositoryOf(s *signer, version, key, url string) {
	h.t.Helper()
	dist := h.t.TempDir()
	smallPackages(h.t, dist, version)
	s.mustRepository(dist, filepath.Join(h.dir, "srv/apt"), key, url)
	h.must("cp", "/srv/apt/nightporter.sources", "/etc/apt/sources.list.d/")
	h.must("rm", "-f", "/etc/apt/sources.list")
}

// The commands of the repository's page install the package. apt-get upgrade installs the
// next version: configuration and state stay, and the service is restarted.
func TestAptInstallAndUpgrade(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "one@example.org")
	h := boot(t, true)
	h.must("rm", "-f", "/etc/apt/sources.list")
	repository := filepath.Join(h.dir, "srv/apt")
	s.mustRepository(filepath.Dir(built(t, older, ".deb")), repository, "one@example.org", "file:/srv/apt")
	_, page, _ := strings.Cut(h.read("/srv/apt/index.html"), "<pre>\n")
	page, _, _ = strings.Cut(page, "</pre>")
	expect(t, "the installation", h.must("sh", "-ec", strings.ReplaceAll(page, "sudo ", "")), "nightporter runs. Its page: ")
	h.running(older)

	const mine = "log: {level: debug}\n"
	h.write(configuration, mine)
	const journal = "/var/lib/nightporter/journal.jsonl"
	before := h.read(journal)
	pid := h.must("systemctl", "show", "--property=MainPID", unitName)
	s.mustRepository(filepath.Dir(built(t, newer, ".deb")), repository, "one@example.org", "")
	h.must("apt-get", "update")
	h.must("apt-get", "upgrade", "--yes")
	h.running(newer)
	if h.must("systemctl", "show", "--property=MainPID", unitName) == pid {
		t.Error("the old program runs on")
	}
	if got := h.read(configuration); got != mine {
		t.Errorf("the upgrade changed the configuration:\n%s", got)
	}
	expect(t, "the journal after the upgrade", h.read(journal), before)
	expect(t, "what apt knows", h.must("apt-cache", "madison", "nightporter"), "0.1.0-1", "0.2.0-1")
}

// apt refuses files that differ from what was signed, or that another key signed.
func TestAptRefusesWhatIsAltered(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "one@example.org", "two@example.org")
	h := newHost(t)
	for _, tc := range []struct {
		name, alter, want string
		update            bool // whether apt accepts the index
	}{
		{"nothing", "true", "", true},
		{"a package", "sed -i s/debian-binary/debian-Binary/ pool/main/n/nightporter/nightporter_0.1.0-1_amd64.deb", "Hash Sum mismatch", true},
		{"an index", "find dists -path '*amd64*' -type f -exec sh -c 'echo >>{}' ';'", "Hash Sum mismatch", false},
		{"InRelease", "sed -i s/stable/Stable/ dists/stable/InRelease", "BADSIG", false},
		{"another key", "cp -r ../other/dists .", "NO_PUBKEY", false},
		{"no signature", "sed -n '/^Origin/,/^-----BEGIN/p' dists/stable/InRelease | grep -v ^--- >dists/stable/Release; rm dists/stable/Release.gpg dists/stable/InRelease", "is not signed", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h.t = t
			h.must("sh", "-c", "rm -rf /srv/* /var/lib/apt/lists/* /var/cache/apt/archives/*.deb")
			h.repositoryOf(s, "0.1.0-1", "two@example.org", "file:/srv/apt")
			h.must("mv", "/srv/apt", "/srv/other")
			h.repositoryOf(s, "0.1.0-1", "one@example.org", "file:/srv/apt")
			h.must("sh", "-ec", "cd /srv/apt; "+tc.alter)
			out, err := h.try("apt-get", "update")
			if (err == nil) != tc.update {
				t.Errorf("the index: %v\n%s", err, out)
			}
			more, err := h.try("apt-get", "install", "--yes", "--download-only", "nightporter")
			if (err == nil) != (tc.want == "") {
				t.Errorf("the package: %v\n%s", err, more)
			}
			expect(t, "what apt says", out+more, tc.want)
		})
	}
}

// A client that fetched InRelease before the repository grew gets the indexes that this
// InRelease names.
func TestAptUpdateWhileTheRepositoryGrows(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "one@example.org")
	h := newHost(t)
	repository := filepath.Join(h.dir, "srv/apt")
	files := http.FileServer(http.Dir(repository))
	var grow func()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		if !strings.HasSuffix(r.URL.Path, "/InRelease") {
			files.ServeHTTP(w, r)
			return
		}
		b, err := os.ReadFile(filepath.Join(repository, r.URL.Path))
		if err != nil {
			t.Error(err)
		}
		grow()
		w.Write(b)
	}))
	defer server.Close()
	h.repositoryOf(s, "0.1.0-1", "one@example.org", server.URL)
	versions := func() string {
		h.must("apt-get", "update")
		return strings.Join(regexp.MustCompile(`0\.\d\.0-1`).FindAllString(h.must("apt-cache", "madison", "nightporter"), -1), " ")
	}

	grow = func() { h.repositoryOf(s, "0.2.0-1", "one@example.org", "") }
	if got := versions(); got != "0.1.0-1" {
		t.Errorf("the first update knows %s", got)
	}
	if !slices.ContainsFunc(asked, func(path string) bool { return strings.Contains(path, "/by-hash/SHA256/") }) {
		t.Errorf("no index was asked for by its hash: %q", asked)
	}
	grow = func() {}
	if got := versions(); got != "0.2.0-1 0.1.0-1" {
		t.Errorf("the second update knows %s", got)
	}
}
