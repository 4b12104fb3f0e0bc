package cli

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A wrong command line is reported in one line on stderr, with exit code 2.
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
		{"register --to localhost --port 22", `nightporter register: --to: found "localhost", which is this host itself: expected another host. ` +
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
		code, out, errs := runCommand(t, strings.Fields(tt.line)...)
		if code != 2 || out != "" || errs != tt.want+"\n" {
			t.Errorf("%s: exit code %d, printed %q\ngot  %swant %s", tt.line, code, out, errs, tt.want)
		}
	}
}

// Ctrl-C ends a command that waits, without output.
func TestInterrupted(t *testing.T) {
	url := silentServer(t)
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
