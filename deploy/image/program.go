package main

import (
	"debug/buildinfo"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/v1"
)

// mainPackage is the package of the program.
const mainPackage = "nightporter/cmd/nightporter"

// program is an executable of nightporter for one platform.
type program struct {
	platform v1.Platform
	content  []byte
}

// readProgram reads a program, and its platform from the build information of Go.
func readProgram(path string) (program, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return program{}, fmt.Errorf("%s: not a program built by Go: %w", path, err)
	}
	if info.Path != mainPackage {
		return program{}, fmt.Errorf("%s: found the program %q, expected %q", path, info.Path, mainPackage)
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	platform, err := platformOf(settings)
	if err != nil {
		return program{}, fmt.Errorf("%s: %w", path, err)
	}
	content, err := os.ReadFile(path)
	return program{platform, content}, err
}

// platformOf returns the platform of build settings, by the names of container engines.
func platformOf(settings map[string]string) (v1.Platform, error) {
	// The image has no C library.
	if cgo := settings["CGO_ENABLED"]; cgo != "0" {
		return v1.Platform{}, fmt.Errorf("CGO_ENABLED: found %q, expected 0", cgo)
	}
	p := v1.Platform{OS: settings["GOOS"], Architecture: settings["GOARCH"]}
	if p.OS != "linux" {
		return p, fmt.Errorf("GOOS: found %q, expected linux", p.OS)
	}
	switch p.Architecture {
	case "amd64", "arm64":
	case "arm":
		if arm := settings["GOARM"]; arm != "6" && arm != "7" {
			return p, fmt.Errorf("GOARM: found %q, expected 6 or 7", arm)
		}
		p.Variant = "v" + settings["GOARM"]
	default:
		return p, fmt.Errorf("GOARCH: found %q, expected amd64, arm64 or arm", p.Architecture)
	}
	return p, nil
}
