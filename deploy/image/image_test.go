package main

import (
	"archive/tar"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var platforms = []v1.Platform{
	{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"},
	{OS: "linux", Architecture: "arm", Variant: "v6"}, {OS: "linux", Architecture: "arm", Variant: "v7"},
}

// made returns an unpacked archive with these platforms.
func made(t *testing.T, platforms ...v1.Platform) string {
	t.Helper()
	var programs []program
	for _, p := range platforms {
		programs = append(programs, program{p, []byte("the program for " + p.String())})
	}
	o := options{version: "1.2.3", revision: "abcdef", created: time.Unix(1700000000, 0).UTC()}
	all, err := build(o, []byte("the license"), programs)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dist", "image.tar")
	if err := all.write(path); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("files beside the archive: %v, %v", left, err)
	}
	return unpack(t, slurp(t, path))
}

// checkImage validates the image by go-containerregistry, and checks each platform.
func checkImage(t *testing.T, dir string, platforms int) []v1.Image {
	t.Helper()
	index := open(t, dir)
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != platforms {
		t.Fatalf("found %d images, expected %d", len(manifest.Manifests), platforms)
	}
	var images []v1.Image
	for _, m := range manifest.Manifests {
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		checkConfig(t, image, m.Platform)
		checkFiles(t, image)
		images = append(images, image)
	}
	return images
}

func checkConfig(t *testing.T, image v1.Image, platform *v1.Platform) {
	t.Helper()
	c, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if found := c.Platform(); !found.Equals(*platform) {
		t.Errorf("platform: found %s in the image, %s in the index", found, platform)
	}
	if c.Config.User != "65521:65521" || !slices.Equal(append(c.Config.Entrypoint, c.Config.Cmd...), []string{"/bin/nightporter", "serve"}) {
		t.Errorf("%s runs %q %q", c.Config.User, c.Config.Entrypoint, c.Config.Cmd)
	}
	for _, label := range []string{"title", "description", "url", "source", "documentation", "licenses", "version", "revision", "created"} {
		if c.Config.Labels["org.opencontainers.image."+label] == "" {
			t.Errorf("no label %s", label)
		}
	}
	if created := c.Config.Labels["org.opencontainers.image.created"]; created != c.Created.Format(time.RFC3339) {
		t.Errorf("created %s and %s", c.Created, created)
	}
}

// checkFiles: the image has the files that the program needs and no others.
func checkFiles(t *testing.T, image v1.Image) {
	t.Helper()
	var list []string
	for _, f := range filesOf(t, image) {
		line := fmt.Sprintf("%04o %d %s", f.mode, f.owner, f.path)
		if f.capabilities != nil {
			line += fmt.Sprintf(" %x", f.capabilities)
		}
		list = append(list, line)
		if f.path == "etc/ssl/certs/ca-certificates.crt" {
			checkRoots(t, f.content)
		}
	}
	want := []string{
		"0755 0 bin/", "0755 0 etc/", "0644 0 etc/group", "0755 0 etc/nightporter/", "0644 0 etc/passwd",
		"0755 0 etc/ssl/", "0755 0 etc/ssl/certs/", "0644 0 etc/ssl/certs/ca-certificates.crt",
		"0755 0 usr/", "0755 0 usr/share/", "0755 0 usr/share/doc/", "0755 0 usr/share/doc/nightporter/",
		"0644 0 usr/share/doc/nightporter/LICENSE", "0755 0 var/", "0755 0 var/lib/", "0700 65521 var/lib/nightporter/",
		// As `getfattr -e hex` prints it after `setcap cap_net_raw,cap_net_admin=p`.
		"0755 0 bin/nightporter 0000000200300000000000000000000000000000",
	}
	if !slices.Equal(list, want) {
		t.Errorf("found\n%s\nexpected\n%s", strings.Join(list, "\n"), strings.Join(want, "\n"))
	}
}

// created returns the creation time of an image.
func created(t *testing.T, image v1.Image) time.Time {
	t.Helper()
	c, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return c.Created.Time
}

// filesOf returns the files of the layers.
func filesOf(t *testing.T, image v1.Image) (all []file) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		content, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		r := tar.NewReader(content)
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if created := created(t, image); !h.ModTime.Equal(created) {
				t.Errorf("%s is of %s, expected %s", h.Name, h.ModTime, created)
			}
			f := file{path: h.Name, mode: h.Mode, owner: h.Uid}
			if f.content, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
			if c, ok := h.PAXRecords["SCHILY.xattr.security.capability"]; ok {
				f.capabilities = []byte(c)
			}
			all = append(all, f)
		}
		if err := content.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// checkRoots: each certificate is complete, and the root of Let's Encrypt is one of them.
func checkRoots(t *testing.T, text []byte) {
	t.Helper()
	var names []string
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names, text = append(names, c.Subject.CommonName), rest
	}
	if len(names) < 100 || !slices.Contains(names, "ISRG Root X1") {
		t.Errorf("certificates: found %q", names)
	}
}

// TestPlatforms: an archive with all platforms is valid and has the common base once.
func TestPlatforms(t *testing.T) {
	images := checkImage(t, made(t, platforms...), len(platforms))
	base := make(map[v1.Hash]bool)
	for i, image := range images {
		manifest, err := image.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		base[manifest.Layers[0].Digest] = true
		files := filesOf(t, image)
		if found, want := string(files[len(files)-1].content), "the program for "+platforms[i].String(); found != want {
			t.Errorf("found %q, expected %q", found, want)
		}
	}
	if len(base) != 1 {
		t.Errorf("found %d base layers, expected one", len(base))
	}
}

// TestDockerManifest: the layout has every part that Docker's own store reads. That store
// gives a name to the last image with it.
func TestDockerManifest(t *testing.T) {
	for _, c := range []struct {
		platforms []v1.Platform
		tags      []string
	}{
		{platforms[1:2], []string{"nightporter:latest"}},
		{platforms, []string{"nightporter:amd64", "nightporter:arm64", "nightporter:armv6", "nightporter:armv7"}},
	} {
		dir := made(t, c.platforms...)
		var entries tarball.Manifest
		if err := json.Unmarshal(slurp(t, filepath.Join(dir, "manifest.json")), &entries); err != nil {
			t.Fatal(err)
		}
		var tags []string
		for i, e := range entries {
			tags = append(tags, e.RepoTags...)
			for _, name := range e.Layers {
				slurp(t, filepath.Join(dir, name))
			}
			config, err := v1.ParseConfigFile(strings.NewReader(string(slurp(t, filepath.Join(dir, e.Config)))))
			if err != nil {
				t.Fatal(err)
			}
			if p := config.Platform(); !p.Equals(c.platforms[i]) || len(config.RootFS.DiffIDs) != len(e.Layers) {
				t.Errorf("%s is for %s and has %d layers, expected %d", e.RepoTags, p, len(e.Layers), len(config.RootFS.DiffIDs))
			}
		}
		if !slices.Equal(tags, c.tags) {
			t.Errorf("found the tags %q, expected %q", tags, c.tags)
		}
	}
}

func TestTwoProgramsOfOnePlatform(t *testing.T) {
	_, err := build(options{}, nil, []program{{platform: platforms[2]}, {platform: platforms[2]}})
	if err == nil || !strings.Contains(err.Error(), "linux/arm/v6: found two programs") {
		t.Errorf("found %v", err)
	}
}
