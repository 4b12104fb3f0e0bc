package cli

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A command line that cannot be run is one line on stderr, in our own words, and exit
// code 2.
func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		line, want string
	}{
		{"dance", "nightporter: unknown command \"dance\": `nightporter --help` lists the commands"},
		{"--dance", "nightporter: unknown flag --dance: `nightporter --help` lists the flags"},
		{"statsu", "nightporter: unknown command \"statsu\": did you mean status? `nightporter --help` lists the commands"},
		{"help statsu", "nightporter help: unknown command \"statsu\": did you mean status? `nightporter --help` lists the commands"},
		{"statsu --from x", "nightporter: unknown command \"statsu\": did you mean status? `nightporter --help` lists the commands"},
		{"status --form x", "nightporter status: unknown flag --form: did you mean --from?"},
		{"status --unheard-of", "nightporter status: unknown flag --unheard-of: `nightporter status --help` lists the flags"},
		{"status -z", "nightporter status: unknown flag -z: `nightporter status --help` lists the flags"},
		{"status --from", "nightporter status: --from: found nothing, expected its URL"},
		{"wake nas --wait 10", `nightporter wake: --wait: found "10", expected a time with its unit, such as 10s or 2m`},
		{"events -n abc", `nightporter events: --number: found "abc", expected a whole number`},
		{"register --idle-watts x", `nightporter register: --idle-watts: found "x", expected a number`},
		{"status --json=x", `nightporter status: --json: found "x", expected true or false`},
		{"register", "nightporter register: --to is missing: expected the porter's HOST or HOST:PORT"},
		{"register --to pi --port 22 --known", "nightporter register: --port and --known: give one of them"},
		{"register --to localhost --port 22", `nightporter register: --to: found "localhost", which is this host itself: expected the porter as another host. ` +
			"Run this on the machine that sleeps, not on the porter"},
		{"register --to 127.0.0.1:1 --mac d8:cb:8a:39:be:a1 --monitor 192.0.2.7=foo", `nightporter register: --monitor: found "foo": expected 1 to 65535, ` +
			`"22/tcp", "51820/udp", "icmp", or a name of /etc/services such as "ssh"`},
		{"register --to http://pi --port 22", `nightporter register: --to: found "http://pi": expected HOST or HOST:PORT, such as 192.168.1.2, and no URL`},
		{"register 192.168.1.2 --port 22", `nightporter register: found "192.168.1.2", expected no argument: --to HOST names the porter`},
		{"pause nas", "nightporter pause: found neither --for nor --until, expected one of them, such as --for 2h"},
		{"pause nas --for 0", "nightporter pause: --for: found 0s, expected 1s to 720h"},
		{"pause nas --for 1000h", "nightporter pause: --for: found 1000h, expected 1s to 720h"},
		{"pause nas --for 0s --until 2026-11-29T08:00", "nightporter pause: --for and --until: give one of them"},
		{"status --from pi:99999", `nightporter status: --from: found "pi:99999", expected a port of 1 to 65535`},
		{"status --from pi:0", `nightporter status: --from: found "pi:0", expected a port of 1 to 65535`},
		{"completion foo", `nightporter completion: found "foo", expected a shell: bash, fish, powershell, zsh`},
		{"serve now", `nightporter serve: found "now", expected no argument`},
		{"check now", `nightporter check: found "now", expected no argument`},
		{"version now", `nightporter version: found "now", expected no argument`},
	} {
		code, out, errs := program(t, strings.Fields(tt.line)...)
		if code != 2 || out != "" || errs != tt.want+"\n" {
			t.Errorf("%s: exit code %d, printed %q\ngot  %swant %s", tt.line, code, out, errs, tt.want)
		}
	}
}

// The help lists the commands by who uses them, and each has a text of its own.
func TestHelp(t *testing.T) {
	code, out, errs := program(t, "--help")
	if code != 0 || errs != "" {
		t.Fatalf("exit code %d, %q", code, errs)
	}
	rest := out
	for _, word := range []string{
		"Examples:", "The porter:", "check", "serve", "Ask a porter:", "events", "forget", "status", "wake",
		"On a machine that sleeps:", "register", "More:", "completion", "help", "version", "--version",
	} {
		_, after, found := strings.Cut(rest, word)
		if !found {
			t.Fatalf("%q is not at its place in\n%s", word, out)
		}
		rest = after
	}
	for _, cmd := range NewRootCommand().Commands() {
		if cmd.Name() == "version" || cmd.Name() == "help" {
			continue
		}
		_, out, _ := program(t, cmd.Name(), "--help")
		for _, word := range []string{"Examples:", "xit code 0"} {
			if !strings.Contains(out, word) {
				t.Errorf("the help of %s lacks %q", cmd.Name(), word)
			}
		}
	}
}

// The help of completion names the shells, and each has its script.
func TestCompletionHelp(t *testing.T) {
	if code, out, errs := program(t, "completion"); code != 0 || errs != "" || !contains(out, "bash", "fish", "zsh") {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
	if code, out, errs := program(t, "completion", "bash"); code != 0 || errs != "" || !contains(out, "__start_nightporter") {
		t.Errorf("exit code %d, %d bytes, %q", code, len(out), errs)
	}
}

// The placeholders of flags are in capitals, and those of the configuration stand apart.
func TestPlaceholders(t *testing.T) {
	_, out, _ := program(t, "serve", "--help")
	before, after, _ := strings.Cut(out, "\n\nFlags for the keys of the configuration:\n")
	if !contains(before, "Exit code 0", "Usage:\n  nightporter serve [flags]\n", "Examples:", "--config FILE", "--help") || strings.Contains(after, "--config") || strings.Contains(out, "token TEXT") {
		t.Errorf("printed\n%s", out)
	}
	for _, want := range []string{"--wake.attempts NUMBER", "--log.level WORD", "--wake.interval DURATION", "--interfaces NAME,..."} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestVersion(t *testing.T) {
	_, want, _ := program(t, "version")
	if !strings.HasPrefix(want, "nightporter ") || !strings.Contains(want, "(revision ") || strings.Count(want, "\n") != 1 {
		t.Errorf("version: %q", want)
	}
	for _, flag := range []string{"--version", "-v"} {
		if code, out, errs := program(t, flag); code != 0 || out != want || errs != "" {
			t.Errorf("%s: exit code %d, %q, %q", flag, code, out, errs)
		}
	}
}

// The environment says which porter is asked, unless a flag does. It is no key of the
// configuration.
func TestFromTheEnvironment(t *testing.T) {
	const elsewhere = "no nightporter answers at 127.0.0.1:2 "
	t.Setenv(fromVariable, "127.0.0.1:1")
	if _, _, errs := program(t, "status"); !strings.Contains(errs, "no nightporter answers at 127.0.0.1:1 ") {
		t.Errorf("by the environment: %q", errs)
	}
	if _, _, errs := program(t, "status", "--from", "127.0.0.1:2"); !strings.Contains(errs, elsewhere) {
		t.Errorf("by the flag: %q", errs)
	}
	if _, code, _, errs := checked(t, map[string]string{"config.yaml": "", "environment": ""}); code != 0 {
		t.Errorf("check: exit code %d, %q", code, errs)
	}
	t.Setenv(fromVariable, "ftp://pi")
	if code, _, errs := program(t, "status"); code != 2 || !strings.HasPrefix(errs, `nightporter status: NIGHTPORTER_FROM: found "ftp://pi"`) {
		t.Errorf("a bad one: exit code %d, %q", code, errs)
	}
}

// Whatever a command waits for, Ctrl-C ends it without a word.
func TestInterrupted(t *testing.T) {
	url := silent(t)
	for _, line := range []string{"status", "wake nas", "forget nas", "events", "status --watch"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		var out, errs strings.Builder
		code := Run(ctx, append(strings.Fields(line), "--from", url), &out, &errs)
		cancel()
		if code != interrupted && line != "status --watch" || errs.String() != "" {
			t.Errorf("%s: exit code %d, %q", line, code, errs.String())
		}
	}
}
