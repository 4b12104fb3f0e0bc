package main

import (
	"fmt"
	"regexp"
	"time"
)

// described matches the output of git describe: the last tag, the number of commits since,
// and the commit; or only the commit if there is no tag.
var (
	described = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)(?:-((?:alpha|beta|rc)[.\d]*))?(?:-(\d+)-g([0-9a-f]+))?(-dirty)?$`)
	untagged  = regexp.MustCompile(`^([0-9a-f]{7,40})(-dirty)?$`)
)

// packageVersion turns the output of git describe into a version that dpkg and rpm sort by
// time. "~" sorts before the empty string, so a candidate sorts before its release; "+"
// sorts after it (deb-version(7)).
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
