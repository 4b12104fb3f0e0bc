package main

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// source is the URL of the project.
const source = "https://github.com/nightporter/nightporter"

// images are an image for each platform, with their common base.
type images struct {
	created   time.Time
	labels    map[string]string
	platforms []v1.Platform
	images    []v1.Image // one for each platform
}

// build builds an image of each program.
func build(o options, license []byte, programs []program) (images, error) {
	all := images{created: o.created, labels: labels(o)}
	base, err := layer(baseFiles(license), o.created)
	if err != nil {
		return all, err
	}
	seen := make(map[string]bool)
	for _, p := range programs {
		if seen[p.platform.String()] {
			return all, fmt.Errorf("platform %s: found two programs, expected one", p.platform)
		}
		seen[p.platform.String()] = true
		top, err := layer(programFiles(p.content), o.created)
		if err != nil {
			return all, err
		}
		image, err := all.image(p.platform, base, top)
		if err != nil {
			return all, err
		}
		all.platforms = append(all.platforms, p.platform)
		all.images = append(all.images, image)
	}
	return all, nil
}

// image builds the image of one platform.
func (all images) image(platform v1.Platform, layers ...v1.Layer) (v1.Image, error) {
	created := v1.Time{Time: all.created}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
		Created: created,
		Config: v1.Config{
			User:         strconv.Itoa(user) + ":" + strconv.Itoa(user),
			Entrypoint:   []string{entrypoint},
			Cmd:          []string{"serve"},
			ExposedPorts: map[string]struct{}{"9717/tcp": {}, "13717/tcp": {}},
			Labels:       all.labels,
		},
		RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	adds := make([]mutate.Addendum, 0, len(layers))
	for _, l := range layers {
		adds = append(adds, mutate.Addendum{Layer: l, History: v1.History{Created: created, CreatedBy: "make image"}})
	}
	return mutate.Append(image, adds...)
}

// index builds the index with the image of each platform.
func (all images) index() v1.ImageIndex {
	adds := make([]mutate.IndexAddendum, 0, len(all.images))
	for i, image := range all.images {
		adds = append(adds, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &all.platforms[i]}})
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), adds...)
	return mutate.Annotations(index, maps.Clone(all.labels)).(v1.ImageIndex)
}

// labels describe the image (annotations.md of the OCI image specification).
func labels(o options) map[string]string {
	const prefix = "org.opencontainers.image."
	return map[string]string{
		prefix + "title":         "nightporter",
		prefix + "description":   "Wake-on-LAN sleep proxy: the first connection to a sleeping machine wakes it, and succeeds",
		prefix + "url":           source,
		prefix + "source":        source,
		prefix + "documentation": source + "/tree/main/docs",
		prefix + "licenses":      "MIT",
		prefix + "version":       o.version,
		prefix + "revision":      o.revision,
		prefix + "created":       o.created.Format(time.RFC3339),
	}
}
