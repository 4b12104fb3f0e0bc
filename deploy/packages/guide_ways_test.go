package main

import (
	"os"
	"path/filepath"
	"testing"

	"nightporter/internal/guide"
)

const readers = "log: {level: debug}\n" // what the reader configures

// From the package to its purge, by the commands of the guides.
func TestGuideDebian(t *testing.T) {
	install := section(t, "packages.md", "Debian, Ubuntu", guide.Porter)
	first := section(t, "install.md", "First steps", guide.Porter)
	later := section(t, "upgrade-uninstall.md", "Debian, Ubuntu, Raspberry Pi OS", guide.Porter)
	if len(install) != 1 || len(first) != 1 || len(later) != 3 {
		t.Fatalf("found %d, %d and %d blocks", len(install), len(first), len(later))
	}
	r := newReader(boot(t, true))
	before := r.traces()
	r.download(built(t, older, ".deb"))
	expect(t, "the installation", r.follow(install[0]), "Its page: http://192.168.9.2:9717/")
	r.running(older)
	expect(t, "the first steps", r.follow(first[0]), "OK", "eth0 192.168.9.2/24", "CAP_NET_RAW")
	r.write(configuration, readers)
	r.download(built(t, newer, ".deb"))
	r.follow(later[0])
	r.running(newer)
	r.follow(later[1])
	r.stopped()
	r.stays(readers)
	r.follow(later[2])
	r.nothing(before)
}

// Debian has rpm and no dnf in its small systems: rpm stands in for dnf.
func TestGuideFedora(t *testing.T) {
	install := section(t, "packages.md", "Fedora, openSUSE", guide.Porter)
	later := section(t, "upgrade-uninstall.md", "Fedora, openSUSE", guide.Porter)
	if len(install) != 1 || len(later) != 3 {
		t.Fatalf("found %d and %d blocks", len(install), len(later))
	}
	r := newReader(boot(t, true))
	before := r.traces()
	r.must("rpm", "--initdb")
	r.write("/usr/local/bin/dnf", `#!/bin/sh
case "$1" in
install) rpm --upgrade --nodeps "$2" ;;
remove) rpm --erase "$2" ;;
*) exit 1 ;;
esac
`)
	r.must("chmod", "+x", "/usr/local/bin/dnf")
	r.download(built(t, older, ".rpm"))
	r.follow(install[0])
	r.running(older)
	r.write(configuration, readers)
	r.download(built(t, newer, ".rpm"))
	r.follow(later[0])
	r.running(newer)
	r.follow(later[1])
	r.stopped()
	if got := r.read(configuration + ".rpmsave"); got != readers {
		t.Errorf("kept is\n%s", got)
	}
	r.follow(later[2])
	r.nothing(before)
}

// A tarball is the same on every Linux with systemd.
func TestGuideTarball(t *testing.T) {
	install := section(t, "packages.md", "Arch and any other Linux", guide.Porter)
	later := section(t, "upgrade-uninstall.md", "Arch and any other Linux", guide.Porter)
	if len(install) != 2 || len(later) != 3 {
		t.Fatalf("found %d and %d blocks", len(install), len(later))
	}
	r := newReader(boot(t, true))
	before := r.traces()
	r.download(built(t, older, ".tar.gz"))
	r.follow(install[0])
	r.running(older)
	r.follow(install[1])
	r.write(configuration, readers)
	r.folder = home
	r.download(built(t, newer, ".tar.gz"))
	r.follow(later[0])
	r.running(newer)
	r.follow(later[1])
	r.stopped()
	r.stays(readers)
	r.follow(later[2])
	r.nothing(before)
}

// The program is built here, where Go is; what follows make build is on the host.
func TestGuideSource(t *testing.T) {
	install := section(t, "install.md", "From source, on the porter's host", guide.Porter)
	later := section(t, "upgrade-uninstall.md", "From source", guide.Porter)
	if len(install) != 1 || len(later) != 3 {
		t.Fatalf("found %d and %d blocks", len(install), len(later))
	}
	r := newReader(boot(t, true))
	before := r.traces()
	r.clone("Makefile", "config.example.yaml", "deploy/systemd/nightporter.service")
	r.build(older)
	r.follow(install[0])
	r.running(older)
	r.write(configuration, readers)
	r.build(newer)
	r.follow(later[0])
	r.running(newer)
	r.follow(later[1])
	r.stopped()
	r.stays(readers)
	r.follow(later[2])
	r.nothing(before)
}

// clone copies files of the repository into a folder of the reader, and goes there.
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

// build puts the program of a version where make build does.
func (r *reader) build(version string) {
	r.t.Helper()
	output(r.t, "tar", "-xzf", built(r.t, version, ".tar.gz"), "-C", filepath.Join(r.dir, r.folder),
		"--strip-components=1", "nightporter-"+version+"-linux-amd64/nightporter")
}

// A machine is given what registers it, and is rid of it.
func TestGuideMachine(t *testing.T) {
	const folder = "deploy/machine/"
	set := section(t, "../"+folder+"README.md", "Set up", guide.Machine)
	remove := section(t, "upgrade-uninstall.md", "A machine that registered", guide.Machine)
	if len(set) != 2 || len(remove) != 1 {
		t.Fatalf("found %d and %d blocks", len(set), len(remove))
	}
	r := newReader(boot(t, true))
	before := r.traces()
	r.clone(folder+"nightporter-register.py", folder+"register.conf.example", folder+"nightporter-register.service", folder+"nightporter-register-sleep.service")
	r.folder += "/" + folder
	r.follow(set[0])
	r.follow(set[1])
	r.must("test", "-x", "/usr/local/lib/nightporter/nightporter-register.py")
	r.must("systemctl", "is-active", "nightporter-register.service")
	r.must("systemctl", "is-enabled", "nightporter-register.service", "nightporter-register-sleep.service")
	r.follow(remove[0])
	r.nothing(before)
}

// Units of Wakupator end, on the porter's host and on the machine.
func TestGuideWakupator(t *testing.T) {
	porter := section(t, "from-wakupator.md", "The change", guide.Porter)
	machine := section(t, "from-wakupator.md", "Units", guide.Machine)
	if len(porter) != 1 || len(machine) != 1 {
		t.Fatalf("found %d and %d blocks", len(porter), len(machine))
	}
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
