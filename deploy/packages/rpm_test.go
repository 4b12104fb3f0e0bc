package main

import (
	"slices"
	"strings"
	"testing"
)

// A .rpm has the files of the .deb at Fedora's paths.
func TestRPMContent(t *testing.T) {
	path := built(t, older, ".rpm")
	query := func(args ...string) []string {
		return strings.Split(strings.TrimSpace(output(t, "rpm", append([]string{"--query", "--package"}, append(args, path)...)...)), "\n")
	}
	want := append([]string{
		"/etc/nightporter", // rpm removes folders that a package owns
		"/usr/share/doc/nightporter",
		"/usr/share/licenses/nightporter",
		"/usr/share/nightporter",
		"/usr/share/nightporter/dashboards",
		"/usr/share/nightporter/rules",
		"/usr/share/doc/nightporter/CHANGELOG.md",
		"/usr/share/licenses/nightporter/LICENSE",
		"/usr/share/licenses/nightporter/THIRD-PARTY-NOTICES",
		"/usr/share/zsh/site-functions/_nightporter",
	}, common...)
	wanted(t, query("--list"), want)
	if got := query("--configfiles"); !slices.Equal(got, []string{configuration}) {
		t.Errorf("configuration: %q", got)
	}
	if got := query("--queryformat", "%{NAME} %{VERSION} %{RELEASE} %{ARCH} %{LICENSE} %{BUILDHOST}"); got[0] != "nightporter 0.1.0 1 x86_64 MIT localhost" {
		t.Errorf("it is %q", got)
	}
}

// A .rpm is installed, upgraded and erased under systemd.
func TestLifeOfRPM(t *testing.T) {
	t.Parallel()
	h := boot(t, true)
	h.must("rpm", "--initdb")
	out := h.must("rpm", "--install", "--nodeps", h.copy(built(t, older, ".rpm")))
	expect(t, "the installation", out, "nightporter runs. Its page: http://192.168.9.2:9717/\n")
	h.running(older)
	const mine = "log: {level: debug}\n"
	h.write(configuration, mine)
	h.must("rpm", "--upgrade", "--nodeps", h.copy(built(t, newer, ".rpm")))
	h.running(newer)
	if got := h.read(configuration); got != mine {
		t.Errorf("the upgrade changed the configuration:\n%s", got)
	}
	h.must("rpm", "--erase", "nightporter")
	h.stopped()
	if out, err := h.try("systemctl", "is-enabled", unitName); err == nil {
		t.Errorf("it starts at boot: %s", out)
	}
	expect(t, "the state", h.read("/var/lib/nightporter/journal.jsonl"), "{")
}
