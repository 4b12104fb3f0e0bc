package main

import (
	"os"
	"path/filepath"
	"testing"

	"nightporter/internal/guide"
)

// live installs, configures, upgrades and removes by the commands of a guide. The blocks of
// later upgrade, remove, and remove the remaining files. bring provides a version for the
// reader. kept is the path of the configuration after the removal.
func (r *reader) live(install, later []guide.Block, bring func(version string), kept string) {
	r.t.Helper()
	before := r.traces()
	bring(older)
	for _, b := range install {
		r.follow(b)
	}
	r.running(older)
	const mine = "log: {level: debug}\n"
	r.write(configuration, mine)
	bring(newer)
	r.follow(later[0])
	r.running(newer)
	r.follow(later[1])
	r.stopped()
	if got := r.read(kept); got != mine {
		r.t.Errorf("the configuration is\n%s", got)
	}
	r.must("test", "-s", "/var/lib/private/nightporter/journal.jsonl")
	r.follow(later[2])
	r.nothing(before)
}

func TestGuideDebian(t *testing.T) {
	t.Parallel()
	install := append(section(t, "packages.md", "Debian, Ubuntu", guide.Porter, 1), section(t, "install.md", "First steps", guide.Porter, 1)...)
	later := section(t, "upgrade-uninstall.md", "Debian, Ubuntu, Raspberry Pi OS", guide.Porter, 3)
	r := newReader(boot(t, true))
	r.live(install, later, func(version string) { r.download(built(t, version, ".deb")) }, configuration)
}

// The Debian of the tests has rpm and no dnf: rpm replaces dnf.
func TestGuideFedora(t *testing.T) {
	t.Parallel()
	install := section(t, "packages.md", "Fedora, openSUSE", guide.Porter, 1)
	later := section(t, "upgrade-uninstall.md", "Fedora, openSUSE", guide.Porter, 3)
	r := newReader(boot(t, true))
	r.must("rpm", "--initdb")
	r.write("/usr/local/bin/dnf", `#!/bin/sh
case "$1" in
install) rpm --upgrade --nodeps "$2" ;;
remove) rpm --erase "$2" ;;
*) exit 1 ;;
esac
`)
	r.must("chmod", "+x", "/usr/local/bin/dnf")
	r.live(install, later, func(version string) { r.download(built(t, version, ".rpm")) }, configuration+".rpmsave")
}

// A tarball installs the same way on every Linux with systemd.
func TestGuideTarball(t *testing.T) {
	t.Parallel()
	install := section(t, "packages.md", "Arch and any other Linux", guide.Porter, 2)
	later := section(t, "upgrade-uninstall.md", "Arch and any other Linux", guide.Porter, 3)
	r := newReader(boot(t, true))
	r.live(install, later, func(version string) {
		r.download(built(t, version, ".tar.gz"))
		r.folder = home
	}, configuration)
}

// The program is built on this host, which has Go. The commands after make build run on the
// test's host.
func TestGuideSource(t *testing.T) {
	t.Parallel()
	install := section(t, "install.md", "From source, on the porter's host", guide.Porter, 1)
	later := section(t, "upgrade-uninstall.md", "From source", guide.Porter, 3)
	r := newReader(boot(t, true))
	r.clone("Makefile", "config.example.yaml", "deploy/systemd/nightporter.service")
	r.live(install, later, func(version string) {
		output(t, "tar", "-xzf", built(t, version, ".tar.gz"), "-C", filepath.Join(r.dir, r.folder),
			"--strip-components=1", "nightporter-"+version+"-linux-amd64/nightporter")
	}, configuration)
}

// clone copies files of the repository into a folder of the reader, and changes to it.
func (r *reader) clone(paths ...string) {
	r.t.Helper()
	r.folder = home + "clone"
	for _, path := range paths {
		b, err := os.ReadFile("../../" + path)
		if err != nil {
			r.t.Fatal(err)
		}
		r.must("mkdir", "-p", filepath.Join(r.folder, filepath.Dir(path)))
		r.write(filepath.Join(r.folder, path), string(b))
	}
}

// The registration script is installed on a machine and removed.
func TestGuideMachine(t *testing.T) {
	t.Parallel()
	const folder = "deploy/machine/"
	set := section(t, "../"+folder+"README.md", "Set up", guide.Machine, 2)
	remove := section(t, "upgrade-uninstall.md", "A machine that registered", guide.Machine, 1)
	r := newReader(boot(t, true))
	before := r.traces()
	r.clone(folder+"nightporter-register.py", folder+"register.conf.example", folder+"nightporter-register.service", folder+"nightporter-register-sleep.service")
	r.folder += "/" + folder
	r.follow(set[0])
	r.follow(set[1])
	r.must("test", "-x", "/usr/local/lib/nightporter/nightporter-register.py")
	r.must("systemctl", "is-active", "nightporter-register.service")
	r.must("systemctl", "is-enabled", "nightporter-register.service")
	r.must("systemctl", "is-enabled", "nightporter-register-sleep.service")
	r.follow(remove[0])
	r.nothing(before)
}

// The units of Wakupator are stopped on the porter's host and on the machine.
func TestGuideWakupator(t *testing.T) {
	t.Parallel()
	porter := section(t, "from-wakupator.md", "The change", guide.Porter, 1)
	machine := section(t, "from-wakupator.md", "Units", guide.Machine, 1)
	r := newReader(boot(t, true))
	for unit, block := range map[string]guide.Block{"wakupator.service": porter[0], "register.service": machine[0]} {
		r.write("/etc/systemd/system/"+unit, "[Service]\nExecStart=sleep 300\n[Install]\nWantedBy=multi-user.target\n")
		r.must("systemctl", "enable", "--now", unit)
		r.follow(block)
		for _, question := range []string{"is-active", "is-enabled"} {
			if out, err := r.try("systemctl", question, unit); err == nil {
				t.Errorf("%s: %s", unit, out)
			}
		}
	}
}
