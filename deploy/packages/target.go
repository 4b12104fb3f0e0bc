package main

import "fmt"

// The formats of packages.
const (
	formatDeb = "deb"
	formatRPM = "rpm"
	formatTar = "tar.gz"
)

// target is one file to make.
type target struct {
	format string
	arch   string // what the format calls the platform
	build  platform
}

// platform is what the program is built for.
type platform struct{ goarch, goarm string }

// The platforms. There is one armhf package, for ARMv6: it serves every Raspberry Pi with
// a 32-bit system, and dpkg has one name for both.
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

// packageRelease counts packages of one version. Without it Debian would take the package
// for one of a program that is Debian's own: deb-version(7).
const packageRelease = "1"

// file is the name of a target's file, as its format has it.
func (t target) file(version string) string {
	switch t.format {
	case formatDeb:
		return fmt.Sprintf("nightporter_%s-%s_%s.deb", version, packageRelease, t.arch)
	case formatRPM:
		return fmt.Sprintf("nightporter-%s-%s.%s.rpm", version, packageRelease, t.arch)
	}
	return fmt.Sprintf("nightporter-%s-linux-%s.tar.gz", version, t.arch)
}
