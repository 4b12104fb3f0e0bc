package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightporter/internal/guide"
)

// signer is a user with secret keys.
type signer struct {
	t    *testing.T
	home string // of gpg; a short path, since it has the socket of gpg-agent (unix(7))
}

// newSigner creates a user with a key for each name.
func newSigner(t *testing.T, names ...string) *signer {
	t.Helper()
	for _, name := range []string{"gpg", "gpg-agent", "apt-ftparchive", "dpkg-deb"} {
		program(t, name)
	}
	home, err := os.MkdirTemp("", "gpg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		os.RemoveAll(home)
	})
	s := &signer{t, home}
	for _, name := range names {
		s.gpg("--passphrase", "", "--quick-generate-key", name, "ed25519", "sign", "never")
	}
	return s
}

// gpg runs gpg for the user.
func (s *signer) gpg(args ...string) string {
	s.t.Helper()
	return output(s.t, "gpg", append([]string{"--homedir", s.home, "--batch"}, args...)...)
}

// repository runs apt-repo and returns its output. The user's umask hides files from other
// users, but the repository has to be readable.
func (s *signer) repository(dist, out, key, url string) (string, error) {
	cmd := exec.Command("sh", "-c", `umask 077; exec ./apt-repo "$0" "$1"`, dist, out)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+s.home, "KEY="+key, "URL="+url)
	printed, err := cmd.CombinedOutput()
	return string(printed), err
}

// mustRepository is repository for a valid key and valid packages.
func (s *signer) mustRepository(dist, out, key, url string) string {
	s.t.Helper()
	printed, err := s.repository(dist, out, key, url)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, printed)
	}
	return printed
}

// smallPackage builds a package with one file.
func smallPackage(t *testing.T, path, name, version, architecture, content string) {
	t.Helper()
	program(t, "dpkg-deb")
	dir := t.TempDir()
	lay(t, dir, map[string]string{
		"DEBIAN/control":                 fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: %s\nDescription: small\n", name, version, architecture, maintainer),
		"usr/share/" + name + "/content": content,
	})
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	output(t, "dpkg-deb", "--root-owner-group", "--build", dir, path)
}

// smallPackages builds packages of a version for each architecture in a directory.
func smallPackages(t *testing.T, dist, version string) {
	t.Helper()
	for _, architecture := range []string{"amd64", "arm64", "armhf"} {
		path := filepath.Join(dist, "nightporter_"+version+"_"+architecture+".deb")
		smallPackage(t, path, "nightporter", version, architecture, version)
	}
}

// The repository has signed indexes for apt, and the key and the source for users.
func TestAptRepository(t *testing.T) {
	s := newSigner(t, "one@example.org")
	dist := t.TempDir()
	out := filepath.Join(dist, "apt")
	smallPackages(t, dist, "0.1.0-1")
	printed := s.mustRepository(dist, out, "one@example.org", "https://example.org/apt/")
	expect(t, "the last line", printed, out+": 3 packages, signed by ", ", for https://example.org/apt\n")

	s.gpg("--yes", "--output", filepath.Join(out, "key.gpg"), "--dearmor", filepath.Join(out, "nightporter.asc"))
	verify := []string{"--keyring", filepath.Join(out, "key.gpg")}
	signed := output(t, "gpgv", append(verify, "--output", "-", filepath.Join(out, "dists/stable/InRelease"))...)
	output(t, "gpgv", append(verify, filepath.Join(out, "dists/stable/Release.gpg"), filepath.Join(out, "dists/stable/Release"))...)
	expect(t, "InRelease", signed, "Origin: nightporter\n", "Label: nightporter\n", "Suite: stable\n", "Codename: stable\n",
		"Architectures: amd64 arm64 armhf\n", "Components: main\n", "Description: ", "Date: ", "Acquire-By-Hash: yes\n")
	if strings.Contains(signed, "SHA512:") { // apt requests an index by the strongest hash
		t.Errorf("InRelease has hashes that no index is named by:\n%s", signed)
	}

	files := tree(t, out)
	for _, architecture := range []string{"amd64", "arm64", "armhf"} {
		index := "dists/stable/main/binary-" + architecture + "/"
		packages := files[index+"Packages"]
		deb := "pool/main/n/nightporter/nightporter_0.1.0-1_" + architecture + ".deb"
		expect(t, index, packages, "Architecture: "+architecture+"\n", "\nFilename: "+deb+"\n", "\nSHA256: "+sum(files[deb])+"\n")
		if strings.Count(packages, "Package: ") != 1 {
			t.Errorf("%s has other packages:\n%s", index, packages)
		}
		if got := output(t, "zcat", filepath.Join(out, index+"Packages.gz")); got != packages {
			t.Errorf("%sPackages.gz differs:\n%s", index, got)
		}
		for _, name := range []string{"Packages", "Packages.gz"} {
			expect(t, "InRelease", signed, " "+sum(files[index+name])+" ")
			if files[index+"by-hash/SHA256/"+sum(files[index+name])] != files[index+name] {
				t.Errorf("%s%s is not there by its hash", index, name)
			}
		}
	}
	expect(t, "the source", files["nightporter.sources"], "Types: deb\nURIs: https://example.org/apt\nSuites: stable\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n ")
	fingerprint := strings.Fields(printed[strings.Index(printed, "signed by ")+len("signed by "):])[0]
	expect(t, "the page", files["index.html"], fingerprint[:40], "<pre>\n"+installation(t)+"</pre>")
	if odd := output(t, "find", out, "!", "-perm", "-o=r", "-o", "-type", "d", "!", "-perm", "-o=x"); odd != "" {
		t.Errorf("a web server of another user cannot read\n%s", odd)
	}
}

// installation is the commands of the guide for a repository at https://example.org/apt.
func installation(t *testing.T) string {
	t.Helper()
	blocks, err := guide.Read(guides + "apt-repository.md")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(blocks, func(b guide.Block) bool { return b.Section == "Install from it" })
	if i < 0 {
		t.Fatal("the guide does not say how to install")
	}
	return blocks[i].Text
}

func sum(text string) string {
	b := sha256.Sum256([]byte(text))
	return hex.EncodeToString(b[:])
}

// A new version is added. Earlier indexes stay available by their hashes, and the address
// stays.
func TestAptRepositoryGrows(t *testing.T) {
	s := newSigner(t, "one@example.org")
	first, second := t.TempDir(), t.TempDir()
	out := filepath.Join(t.TempDir(), "apt")
	smallPackages(t, first, "0.1.0-1")
	smallPackages(t, second, "0.2.0-1")
	s.mustRepository(first, out, "one@example.org", "https://example.org/apt")
	before := tree(t, out)
	printed := s.mustRepository(second, out, "one@example.org", "")
	expect(t, "the last line", printed, ": 6 packages, ", ", for https://example.org/apt\n")
	after := tree(t, out)
	for path, text := range before {
		if (strings.HasPrefix(path, "pool/") || strings.Contains(path, "/by-hash/") || path == "nightporter.sources") && after[path] != text {
			t.Errorf("%s is not as it was", path)
		}
	}
	expect(t, "the index", after["dists/stable/main/binary-armhf/Packages"], "Version: 0.1.0-1\n", "Version: 0.2.0-1\n")

	// Adding the same packages again is no error.
	s.mustRepository(second, out, "one@example.org", "")
	if again := tree(t, out); len(again) != len(after) {
		t.Errorf("there were %d files, and are %d", len(after), len(again))
	}
}

// Without a URL the repository serves its own host.
func TestAptRepositoryWithoutURL(t *testing.T) {
	s := newSigner(t, "one@example.org")
	dist := t.TempDir()
	out := filepath.Join(dist, "apt")
	smallPackages(t, dist, "0.1.0-1")
	s.mustRepository(dist, out, "one@example.org", "")
	files := tree(t, out)
	expect(t, "the source", files["nightporter.sources"], "\nURIs: file:"+out+"\n")
	expect(t, "the page", files["index.html"], "\nsudo cp "+out+"/nightporter.sources /etc/apt/sources.list.d/\n")
}

// An error names the mistake, and nothing is changed.
func TestAptRepositoryRefuses(t *testing.T) {
	const key, url = "one@example.org", "https://example.org/apt"
	s := newSigner(t, key, "two@example.org")
	s.gpg("--faked-system-time", "20200101T000000!", "--passphrase", "", "--quick-generate-key", "old@example.org", "ed25519", "sign", "1d")
	good := func(dist string) { smallPackages(t, dist, "0.1.0-1") }
	one := func(name, version, architecture string) func(string) {
		return func(dist string) { smallPackage(t, filepath.Join(dist, "a.deb"), name, version, architecture, "") }
	}
	for name, tc := range map[string]struct {
		dist     func(dir string)
		key, url string
		want     string
	}{
		"no key":               {good, "", url, "KEY: found nothing, expected a secret key"},
		"an unknown key":       {good, "three@example.org", url, "KEY: found three@example.org, expected a secret key that `gpg --list-secret-keys` shows"},
		"several keys":         {good, "example.org", url, "KEY: found example.org, which names several secret keys, expected one of "},
		"an expired key":       {good, "old@example.org", url, "signing failed"},
		"no package":           {func(string) {}, key, url, "found no .deb, expected those of `make packages`"},
		"no package at all":    {func(dist string) { lay(t, dist, map[string]string{"a.deb": "text"}) }, key, url, "a.deb: expected a package of make packages"},
		"another package":      {one("dayporter", "0.1.0-1", "amd64"), key, url, "a.deb: found the package dayporter_0.1.0-1_amd64, expected nightporter_VERSION_ARCH"},
		"another architecture": {one("nightporter", "0.1.0-1", "i386"), key, url, "a.deb: found the package nightporter_0.1.0-1_i386"},
		"other content in dist": {func(dist string) {
			good(dist)
			smallPackage(t, filepath.Join(dist, "z.deb"), "nightporter", "0.1.0-1", "arm64", "changed")
		}, key, url, "z.deb: found another nightporter_0.1.0-1_arm64.deb in "},
		"other content in the pool": {func(dist string) {
			smallPackage(t, filepath.Join(dist, "a.deb"), "nightporter", "0.0.9-1", "armhf", "changed")
		}, key, url, "a.deb: found another nightporter_0.0.9-1_armhf.deb in "},
		"another scheme":      {good, key, "ftp://example.org/apt", "URL: found ftp://example.org/apt, expected "},
		"no scheme":           {good, key, "example.org/apt", "URL: found example.org/apt, expected "},
		"a space in the URL":  {good, key, "https://example.org/an apt", "URL: found https://example.org/an apt, expected "},
		"a line in the URL":   {good, key, "https://example.org/\nTrusted: yes", "URL: found https://example.org/\nTrusted: yes, expected "},
		"markup in the URL":   {good, key, "https://example.org/<b>", "URL: found https://example.org/<b>, expected "},
		"nothing but a https": {good, key, "https://", "URL: found https:/, expected "},
	} {
		t.Run(name, func(t *testing.T) {
			dist, fresh := t.TempDir(), filepath.Join(t.TempDir(), "apt")
			out := filepath.Join(dist, "apt")
			smallPackages(t, filepath.Join(dist, "earlier"), "0.0.9-1")
			s.mustRepository(filepath.Join(dist, "earlier"), out, key, url)
			tc.dist(dist)
			before := tree(t, dist)
			printed, err := s.repository(dist, out, tc.key, tc.url)
			if err == nil {
				t.Error("it is made")
			}
			expect(t, "the error", printed, tc.want)
			unchanged(t, before, tree(t, dist))
			if strings.Contains(name, "in the pool") {
				return // a new repository has no earlier content
			}
			if _, err := s.repository(dist, fresh, tc.key, tc.url); err == nil {
				t.Error("a new one is made")
			}
			if _, err := os.Stat(fresh); err == nil {
				t.Errorf("%s is left", fresh)
			}
		})
	}
}

// A directory with other files is not changed, and neither is any without the programs that
// apt-repo needs.
func TestAptRepositoryElsewhere(t *testing.T) {
	s := newSigner(t, "one@example.org")
	dist, out := t.TempDir(), t.TempDir()
	smallPackages(t, dist, "0.1.0-1")
	lay(t, out, map[string]string{"index.html": "mine"})
	before := tree(t, out)
	printed, err := s.repository(dist, out, "one@example.org", "")
	if err == nil {
		t.Error("it is made")
	}
	expect(t, "the error", printed, out+": found other files, expected a repository of make apt-repo, an empty directory or none")
	unchanged(t, before, tree(t, out))

	script, err := filepath.Abs("apt-repo")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program(t, "sh"), script, dist, filepath.Join(dist, "apt"))
	cmd.Env = []string{"PATH=" + out, "KEY=one@example.org"}
	b, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(b), "the program dpkg-deb is missing: sudo apt install dpkg") {
		t.Errorf("without programs: %v\n%s", err, b)
	}
}
