package main

import "fmt"

// The formats of packages.
const (
	formatDeb = "deb"
	formatRPM = "rpm"
	formatTar = "tar.gz"
)

// target is one file to build.
type target struct {
	format string
	arch   string // the format's name of the platform
	build  platform
}

// platform is a platform of the program.
type platform struct{ goarch, goarm string }

// The platforms. The armhf package is for ARMv6: it runs on every Raspberry Pi with a 32-bit
// system, and dpkg has one name for ARMv6 and ARMv7.
var (
	amd64 = platform{"amd64", ""}
	arm64 = platform{"arm64", ""}
	armv6 = platform{"arm", "6"}
	armv7 = platform{"arm", "7"}
)

var targets = []target{
	{formatDeb, "amd64", amd64},
	{formatDeb, "arm64", arm64},
	{formatDeb, "armhf", armv6},
	{formatRPM, "x86_64", amd64},
	{formatRPM, "aarch64", arm64},
	{formatTar, "amd64", amd64},
	{formatTar, "arm64", arm64},
	{formatTar, "armv7", armv7},
	{formatTar, "armv6", armv6},
}

// packageRelease is the number of the package of one version. A version without it means a
// native package of Debian (deb-version(7)).
const packageRelease = "1"

// file is the name of a target's file in the style of its format.
func (t target) file(version string) string {
	switch t.format {
	case formatDeb:
		return fmt.Sprintf("nightporter_%s-%s_%s.deb", version, packageRelease, t.arch)
	case formatRPM:
		return fmt.Sprintf("nightporter-%s-%s.%s.rpm", version, packageRelease, t.arch)
	}
	return fmt.Sprintf("nightporter-%s-linux-%s.tar.gz", version, t.arch)
}
