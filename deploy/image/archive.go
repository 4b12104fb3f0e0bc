package main

import (
	"archive/tar"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// name is the name of the image after it is loaded.
const name = "nightporter"

// write writes the archive. It is an OCI image layout: Podman, and Docker with containerd's
// image store, read it and choose the platform. Docker's own store reads only manifest.json,
// where a shared name would go to the last image. So each image has a tag there, unless there
// is only one.
func (all images) write(path string) error {
	dir, err := os.MkdirTemp("", "nightporter-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := layout.Write(dir, all.named()); err != nil {
		return err
	}
	manifest, err := all.dockerManifest()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), manifest, 0o644); err != nil {
		return err
	}
	return archive(path, dir, all.created)
}

// named is index.json of the layout. Podman loads only an archive with one entry, under the
// name in containerd's annotation.
func (all images) named() v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	return mutate.AppendManifests(index, mutate.IndexAddendum{Add: all.index(), Descriptor: v1.Descriptor{
		Annotations: map[string]string{
			"io.containerd.image.name":          "docker.io/library/" + name + ":latest",
			"org.opencontainers.image.ref.name": "latest",
		},
	}})
}

// dockerManifest is manifest.json, which lists the parts of each image in the layout.
func (all images) dockerManifest() ([]byte, error) {
	var entries tarball.Manifest
	for i, image := range all.images {
		config, err := image.ConfigName()
		if err != nil {
			return nil, err
		}
		tag := "latest"
		if len(all.images) > 1 {
			tag = all.platforms[i].Architecture + all.platforms[i].Variant
		}
		entry := tarball.Descriptor{Config: blob(config), RepoTags: []string{name + ":" + tag}}
		layers, err := image.Layers()
		if err != nil {
			return nil, err
		}
		for _, l := range layers {
			digest, err := l.Digest()
			if err != nil {
				return nil, err
			}
			entry.Layers = append(entry.Layers, blob(digest))
		}
		entries = append(entries, entry)
	}
	return json.Marshal(entries)
}

// blob is the path in a layout of the content with this digest.
func blob(digest v1.Hash) string { return "blobs/" + digest.Algorithm + "/" + digest.Hex }

// archive writes the files below dir as a tar. It replaces an existing file only after the
// new one is complete.
func archive(path, dir string, created time.Time) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename
	defer f.Close()
	if err := addAll(f, dir, created); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// addAll adds the files below dir to a tar, sorted by name.
func addAll(to io.Writer, dir string, created time.Time) error {
	w := tar.NewWriter(to)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: created}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}
