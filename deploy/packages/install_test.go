package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	configuration = "/etc/nightporter/config.yaml"
	unitName      = "nightporter.service"
)

// install installs a package with apt-get and returns the output.
func (h *host) install(path string) string {
	h.t.Helper()
	return h.must("apt-get", "install", "--yes", path)
}

// write writes a file of the host.
func (h *host) write(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, path), []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// read reads a file of the host, following its links.
func (h *host) read(path string) string {
	h.t.Helper()
	return h.must("cat", path)
}

// expect fails unless the output has all the words.
func expect(t *testing.T, what, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, got)
		}
	}
}

// running fails unless the service runs the program of a version and serves metrics.
func (h *host) running(version string) {
	h.t.Helper()
	h.must("systemctl", "is-active", unitName)
	h.must("systemctl", "is-enabled", unitName)
	expect(h.t, "the metrics", h.must("curl", "--silent", "--show-error", "--fail", "http://127.0.0.1:9717/metrics"),
		`nightporter_build_info{`, `version="`+version+`"`)
}

// stopped fails if the service runs or its port answers.
func (h *host) stopped() {
	h.t.Helper()
	if out, err := h.try("systemctl", "is-active", unitName); err == nil {
		h.t.Errorf("it runs: %s", out)
	}
	if out, err := h.try("curl", "--silent", "http://127.0.0.1:9717/metrics"); err == nil {
		h.t.Errorf("it answers: %.200s", out)
	}
}

// traces are the paths of nightporter on the host, except in folders of users and in logs of
// apt-get and systemd.
func (h *host) traces() string {
	h.t.Helper()
	return h.must("sh", "-ec", `find / -xdev -path /proc -prune -o -path /sys -prune -o -path /root -prune -o -path /home -prune -o -name '*nightporter*' -print
ls -d /etc/systemd/system/multi-user.target.wants/nightporter* 2>/dev/null || true`)
}

// After the installation the porter runs, and the output has the address of its page. An
// upgrade keeps configuration and state, a removal stops the porter, a purge removes all
// files.
func TestLifeOnDebian(t *testing.T) {
	t.Parallel()
	h := boot(t, true)
	before := h.traces()
	out := h.install(h.copy(built(t, older, ".deb")))
	expect(t, "the installation", out, "nightporter runs. Its page: http://192.168.9.2:9717/\n", "Next: ", "Settings: /etc/nightporter/config.yaml")
	h.running(older)
	expect(t, "the page", h.must("curl", "--silent", "--fail", "http://192.168.9.2:9717/"), "nightporter")
	if out := h.must("systemd-analyze", "verify", "--man=no", unitName); out != "" {
		t.Errorf("systemd finds in the unit:\n%s", out)
	}

	const mine = "machines:\n  - {name: nas, mac: \"d8:cb:8a:39:be:a1\", ip: 192.168.9.20, ports: [22], agentless: true}\n"
	h.write(configuration, mine)
	h.must("systemctl", "reload", unitName)
	asleep := []string{"sh", "-c", `curl --silent http://127.0.0.1:9717/api/v1/machines | grep -E '"state": ?"asleep"'`}
	h.within(time.Minute, "the machine to count as asleep", asleep...)
	pid := h.must("systemctl", "show", "--property=MainPID", unitName)

	out = h.install(h.copy(built(t, newer, ".deb")))
	if strings.Contains(out, "Its page:") {
		t.Errorf("an upgrade prints the welcome again:\n%s", out)
	}
	h.running(newer)
	if h.must("systemctl", "show", "--property=MainPID", unitName) == pid {
		t.Error("the old program runs on")
	}
	if got := h.read(configuration); got != mine {
		t.Errorf("the upgrade changed the configuration:\n%s", got)
	}
	h.within(10*time.Second, "the machine to be claimed again", asleep...)

	h.must("apt-get", "remove", "--yes", "nightporter")
	h.stopped()
	if got := h.read(configuration); got != mine {
		t.Errorf("the removal changed the configuration:\n%s", got)
	}
	expect(t, "the state after the removal", h.read("/var/lib/nightporter/journal.jsonl"), "nas")

	h.write("/etc/nightporter/environment", "NIGHTPORTER_HTTP__TOKEN=secret\n")
	h.must("apt-get", "purge", "--yes", "nightporter")
	if after := h.traces(); after != before {
		t.Errorf("the purge leaves\n%s\nbefore it was\n%s", after, before)
	}
}

// A configuration that the new version refuses does not make the upgrade fail. The service
// and nightporter check name the wrong key.
func TestUpgradeWithBrokenConfiguration(t *testing.T) {
	t.Parallel()
	h := boot(t, true)
	h.install(h.copy(built(t, older, ".deb")))
	h.write(configuration, "wake:\n  atempts: 3\n")
	h.install(h.copy(built(t, newer, ".deb")))
	expect(t, "the state of the package", h.must("dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Version}", "nightporter"), "ii", "0.2.0-1")
	h.stopped()
	h.within(10*time.Second, "the key in the status", "sh", "-c", "systemctl status --no-pager --full "+unitName+" | grep 'Status: .*wake.atempts'")
	check, err := h.try("nightporter", "check")
	if err == nil {
		t.Error("the configuration passes")
	}
	expect(t, "the check", check, "wake.atempts", "did you mean")

	h.write(configuration, "wake:\n  attempts: 3\n")
	h.must("systemctl", "reset-failed", unitName)
	h.must("systemctl", "restart", unitName)
	h.running(newer)
	if got := strings.TrimSpace(h.must("systemctl", "show", "--property=StatusText", "--value", unitName)); got != "" {
		t.Errorf("the status still says %q", got)
	}
}

// A service that the administrator disabled stays disabled.
func TestDisabledStaysDisabled(t *testing.T) {
	t.Parallel()
	h := boot(t, true)
	h.install(h.copy(built(t, older, ".deb")))
	h.must("systemctl", "disable", "--now", unitName)
	h.install(h.copy(built(t, newer, ".deb")))
	h.stopped()
	if out, err := h.try("systemctl", "is-enabled", unitName); err == nil {
		t.Errorf("it starts at boot: %s", out)
	}
}

// Without a network the porter waits for one. If its port is in use it names the program
// that uses it. In both cases the package is installed.
func TestInstallWhereItCannotWork(t *testing.T) {
	t.Parallel()
	t.Run("no interface", func(t *testing.T) {
		h := boot(t, false)
		expect(t, "the installation", h.install(h.copy(built(t, older, ".deb"))), "nightporter runs. Its page: http://pi:9717/\n")
		expect(t, "the log", h.must("journalctl", "--no-pager", "--unit", unitName), "event=interface_out", "no default route; to watch a certain interface, name it in interfaces")
	})
	t.Run("no port", func(t *testing.T) {
		h := boot(t, true)
		h.must("systemd-run", "--unit=other", "--service-type=exec", "perl", "-MIO::Socket::INET",
			"-e", `my $s = IO::Socket::INET->new(LocalPort => 9717, Listen => 1) or die; sleep 300`)
		h.within(10*time.Second, "the port to be taken", "sh", "-ec", "ss -Hltn sport = :9717 | grep -q .")
		expect(t, "the installation", h.install(h.copy(built(t, older, ".deb"))), "nightporter is installed, but does not run", "nightporter check --host")
		expect(t, "the log", h.must("journalctl", "--no-pager", "--unit", unitName), "cannot listen on :9717: address already in use: `ss -ltnp 'sport = :9717'` shows by what")
		h.within(10*time.Second, "the reason in the status", "sh", "-c", "systemctl status --no-pager --full "+unitName+" | grep 'Status: .*:9717: address already in use'")
		check, err := h.try("nightporter", "check", "--host")
		if err == nil {
			t.Error("the host passes")
		}
		expect(t, "the check", check, "`ss -ltnp 'sport = :9717'` shows by what")
		h.must("systemctl", "stop", "other")
		h.within(20*time.Second, "the porter to start once the port is free", "systemctl", "is-active", unitName)
	})
}

// After an earlier make install the package names the files to remove, and keeps the
// configuration.
func TestInstallOverMakeInstall(t *testing.T) {
	t.Parallel()
	h := boot(t, true)
	const mine = "log: {level: debug}\n"
	h.must("mkdir", "-p", "/etc/nightporter")
	h.write(configuration, mine)
	const unit = "/etc/systemd/system/nightporter.service"
	text, err := release{options: options{repository: "../.."}}.read("deploy/systemd/nightporter.service")
	if err != nil {
		t.Fatal(err)
	}
	h.write(unit, string(text))
	h.must("systemctl", "enable", unitName)
	out := h.must("apt-get", "install", "--yes", "--option", "Dpkg::Options::=--force-confold", h.copy(built(t, older, ".deb")))
	expect(t, "the installation", out, "Remove it:\n  sudo rm "+unit+" /usr/local/bin/nightporter\n")
	if got := h.read(configuration); got != mine {
		t.Errorf("the configuration became\n%s", got)
	}
	h.must("rm", "-f", unit, "/usr/local/bin/nightporter")
	h.must("systemctl", "reenable", unitName)
	h.must("systemctl", "restart", unitName)
	h.running(older)
}

// Without systemd, as in a container, the package installs too.
func TestInstallWithoutSystemd(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	expect(t, "the installation", h.install(h.copy(built(t, older, ".deb"))), "not started: systemd does not run on this host", "nightporter serve")
	expect(t, "the program", h.must("nightporter", "version"), "nightporter 0.1.0 ")
	expect(t, "what starts at boot", h.must("ls", "/etc/systemd/system/multi-user.target.wants"), unitName)
	h.must("apt-get", "purge", "--yes", "nightporter")
	if out, err := h.try("ls", configuration); err == nil {
		t.Errorf("left is %s", out)
	}
}
