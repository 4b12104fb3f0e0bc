package main

import (
	"fmt"
	"regexp"
	"time"
)

// described is what git describe prints of a commit: the last tag, how many commits
// ago it was, and the commit; without any tag the commit alone.
var (
	described = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)(?:-((?:alpha|beta|rc)[.\d]*))?(?:-(\d+)-g([0-9a-f]+))?(-dirty)?$`)
	untagged  = regexp.MustCompile(`^([0-9a-f]{7,40})(-dirty)?$`)
)

// packageVersion makes a version that dpkg and rpm sort as it is meant out of what git
// describe prints. "~" sorts before nothing, and so a candidate before its release;
// "+" after it: deb-version(7).
func packageVersion(describe string, commit time.Time) (string, error) {
	if m := untagged.FindStringSubmatch(describe); m != nil {
		version := "0.0.0~" + commit.UTC().Format("20060102150405") + "." + m[1]
		if m[2] != "" {
			version += ".dirty"
		}
		return version, nil
	}
	m := described.FindStringSubmatch(describe)
	if m == nil {
		return "", fmt.Errorf("version: found %q, expected a version such as 0.2.1 or v0.2.1-rc1, or what `git describe --tags --always --dirty` prints", describe)
	}
	version := m[1]
	if m[2] != "" {
		version += "~" + m[2]
	}
	if m[3] != "" {
		version += "+" + m[3] + ".g" + m[4]
	}
	if m[5] != "" {
		version += "+dirty"
	}
	return version, nil
}
