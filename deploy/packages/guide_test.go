package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightporter/internal/guide"
)

const guides = "../../docs/"

// followed are the sections with commands by page, and the tests that run them. Other pages
// are no guides. Paths are relative to docs.
var followed = map[string]map[string]string{
	"packages.md": {
		"Debian, Ubuntu":           "TestGuideDebian",
		"Fedora, openSUSE":         "TestGuideFedora",
		"Arch and any other Linux": "TestGuideTarball",
	},
	"install.md": {
		"From source, on the porter's host": "TestGuideSource",
		"First steps":                       "TestGuideDebian",
	},
	"upgrade-uninstall.md": {
		"Debian, Ubuntu, Raspberry Pi OS": "TestGuideDebian",
		"Fedora, openSUSE":                "TestGuideFedora",
		"Arch and any other Linux":        "TestGuideTarball",
		"From source":                     "TestGuideSource",
		"Docker and Podman":               "TestImage in deploy/compose",
		"A machine that registered":       "TestGuideMachine",
	},
	"docker.md": {
		"Start it": "TestImage in deploy/compose",
		"Use it":   "TestImage in deploy/compose",
	},
	"from-wakupator.md": {
		"The change": "TestGuideWakupator",
		"Units":      "TestGuideWakupator",
	},
	"../deploy/machine/README.md": {
		"Set up": "TestGuideMachine",
	},
	"raspberry-pi.md": {
		"The package":       "make vm",
		"The first machine": "make vm",
		"Prometheus":        "make vm",
	},
	"apt-repository.md": {},
}

// shells are other names of the language sh, which guide.Block does not accept.
var shells = []string{"", "bash", "console", "shell"}

// A test runs each command of a guide, unless a comment says why none can.
func TestGuidesAreFollowed(t *testing.T) {
	for page, sections := range followed {
		blocks, err := guide.Read(guides + page)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]guide.Place{}
		for _, b := range blocks {
			if slices.Contains(shells, b.Language) {
				t.Errorf("%s:%d: a block of the language %q, expected sh for commands", page, b.Line, b.Language)
			}
			if b.Language != "sh" || b.NotRun != "" {
				continue
			}
			if sections[b.Section] == "" || b.Place == guide.Workstation {
				t.Errorf("%s:%d: no test runs the commands in %q on the %s", page, b.Line, b.Section, b.Place)
			}
			if place, ok := found[b.Section]; ok && place != b.Place {
				t.Errorf("%s:%d: the test of %q runs commands on the %s, and these are for the %s", page, b.Line, b.Section, place, b.Place)
			}
			found[b.Section] = b.Place
		}
		for section := range sections {
			if _, ok := found[section]; !ok {
				t.Errorf("%s: there are no commands in %q", page, section)
			}
		}
	}
}

// The guide for the Raspberry Pi has at most ten commands, one in each block.
func TestTenCommands(t *testing.T) {
	blocks, err := guide.Read(guides + "raspberry-pi.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, b := range blocks {
		if b.Language != "sh" {
			continue
		}
		n++
		command := strings.TrimSpace(strings.ReplaceAll(b.Text, "\\\n", ""))
		if head, input, ok := strings.Cut(command, "\n"); ok && !(strings.HasSuffix(head, "<<'END'") && strings.HasSuffix(input, "\nEND")) {
			t.Errorf("line %d has more than one command:\n%s", b.Line, b.Text)
		}
	}
	if n == 0 || n > 10 {
		t.Errorf("found %d commands, expected 10 at most", n)
	}
}

// section returns the commands in a section of a guide for one computer.
func section(t *testing.T, page, heading string, on guide.Place, want int) []guide.Block {
	t.Helper()
	if by := followed[page][heading]; by != t.Name() {
		t.Fatalf("%s: the commands in %q are run by %q, according to followed", page, heading, by)
	}
	blocks, err := guide.Section(guides+page, heading, on, want)
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

const home = "/home/reader/"

// reader is a user of a host with sudo. A change of directory lasts for later commands.
type reader struct {
	*host
	folder string
}

// newReader adds a reader to a host.
func newReader(h *host) *reader {
	h.must("useradd", "--create-home", "--shell", "/bin/bash", "reader")
	h.write("/etc/sudoers.d/reader", "reader ALL=(ALL) NOPASSWD: ALL\n")
	h.write("/etc/apt/apt.conf.d/yes", "APT::Get::Assume-Yes \"true\";\n") // apt assumes the answer yes
	return &reader{host: h, folder: home}
}

// follow runs the commands of a block. The exit code is that of the last command, also of a
// list such as "a && b", in which a failure of a does not end the shell.
func (r *reader) follow(b guide.Block) {
	r.t.Helper()
	r.t.Logf("%s, line %d", b.Section, b.Line)
	const mark = "the reader is in "
	script := "set -e\ncd " + r.folder + "\ntrap 'echo; echo \"" + mark + "$PWD\"' EXIT\n" + b.Text
	out := r.must("runuser", "--login", "reader", "--command", script)
	_, folder, ok := strings.Cut(out, "\n"+mark)
	if !ok {
		r.t.Fatalf("line %d ends the shell:\n%s", b.Line, out)
	}
	r.folder = strings.TrimSpace(folder)
}

// download copies a package into the folder of the reader.
func (r *reader) download(path string) {
	r.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(filepath.Join(home, filepath.Base(path)), string(b))
}

// nothing fails if the host has more files of nightporter than before the installation.
func (r *reader) nothing(before string) {
	r.t.Helper()
	if after := r.traces(); after != before {
		r.t.Errorf("left is\n%s\nbefore it was\n%s", after, before)
	}
}
