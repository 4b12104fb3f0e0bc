package config_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"nightporter/internal/config"
)

// badValues are files with one bad value each, and what is said about it. FILE
// stands for the path of the file.
var badValues = []struct{ file, want string }{
	{"interfaces: 'eth0,eth1'", `interfaces: found "eth0,eth1" (from FILE): expected a list, such as [a, b]`},
	{"interfaces: a/b", `interfaces: found "a/b" (from FILE): expected the name of a network interface, such as eth0`},
	{"interfaces: true", `interfaces: found true (from FILE): expected a list, such as [a, b]`},
	{"interfaces: {eth0: yes}", `interfaces: found a mapping (from FILE): expected a list, such as [a, b]`},
	{"interfaces: [eth0, a/b]", `interfaces[1]: found "a/b" (from FILE): expected the name of a network interface, such as eth0`},
	{"interfaces: [~]", `interfaces[0]: found nothing (from FILE): expected the name of a network interface, such as eth0`},
	{"interfaces: [abcdefghijklmnop]", `interfaces[0]: found "abcdefghijklmnop" (from FILE): expected the name of a network interface, such as eth0`},
	{"interfaces: [eth0, eth1, eth0]", `interfaces[2]: found "eth0" (from FILE): expected no entry twice: interfaces[0] is the same`},
	{"state_dir: state", `state_dir: found "state" (from FILE): expected an absolute path of printable characters`},
	{"state_dir: 5", `state_dir: found 5 (from FILE): expected an absolute path of printable characters`},
	{`state_dir: "/a\nb"`, `state_dir: found "/a\nb" (from FILE): expected an absolute path of printable characters`},
	{"user: no such user", `user: found "no such user" (from FILE): expected the name of a user of this host, or none`},
	{"user: " + strings.Repeat("a", 256), `user: found "` + strings.Repeat("a", 80) + `..." (from FILE): expected the name of a user of this host, or none`},
	{"user: 0", `user: found 0 (from FILE): expected the name of a user of this host, or none`},
	{"log: {level: INFO}", `log.level: found "INFO" (from FILE): expected debug, info, warn or error`},
	{"log: {format: xml}", `log.format: found "xml" (from FILE): expected text or json`},
	{"log: verbose", `log: found a single value (from FILE): expected keys with values below it`},
	{"wake: [1, 2]", `wake: found a list (from FILE): expected keys with values below it`},
	{"registration: {listen: [13717]}", `registration.listen[0]: found 13717 (from FILE): expected "host:port" or ":port" with a port from 0 to 65535`},
	{"registration: {listen: ['13717']}", `registration.listen[0]: found "13717" (from FILE): expected "host:port" or ":port" with a port from 0 to 65535`},
	{"registration: {listen: [':65536']}", `registration.listen[0]: found ":65536" (from FILE): expected "host:port" or ":port" with a port from 0 to 65535`},
	{"registration: {listen: [':http']}", `registration.listen[0]: found ":http" (from FILE): expected "host:port" or ":port" with a port from 0 to 65535`},
	{"registration: {listen: ['192.0.2.256:1']}", `registration.listen[0]: found "192.0.2.256:1" (from FILE): expected "host:port" or ":port" with a port from 0 to 65535`},
	{"registration: {listen: ['-a:1']}", `registration.listen[0]: found "-a:1" (from FILE): expected "host:port" or ":port" with a port from 0 to 65535`},
	{"registration: {listen: ['a b:1']}", `registration.listen[0]: found "a b:1" (from FILE): expected "host:port" or ":port" with a port from 0 to 65535`},
	{"registration: {listen: ['::1:1']}", `registration.listen[0]: found "::1:1" (from FILE): expected "host:port" or ":port" with a port from 0 to 65535`},
	{"registration: {trust: everyone}", `registration.trust: found "everyone" (from FILE): expected self, allowlist or open`},
	{"registration: {trust: allowlist}", `registration.allow: found an empty list (the default): expected at least one MAC address, since registration.trust is allowlist`},
	{"registration: {token: 12345}", `registration.token: found a hidden value (from FILE): expected text of up to 256 bytes, in quotes if it looks like a number, or none`},
	{"registration: {token: {hunter2: x}}", `registration.token: found a hidden value (from FILE): expected text of up to 256 bytes, in quotes if it looks like a number, or none`},
	{"registration: {token: '********'}", `registration.token: found a hidden value (from FILE): expected the token itself: ******** is printed in its place`},
	{"registration: {token: " + strings.Repeat("hunter2", 40) + "}", `registration.token: found a hidden value (from FILE): expected text of up to 256 bytes, in quotes if it looks like a number, or none`},
	{"registration: {allow: [d8:cb:8a:39:be]}", `registration.allow[0]: found "d8:cb:8a:39:be" (from FILE): expected the MAC address of one machine, such as d8:cb:8a:39:be:a1`},
	{"registration: {allow: [ff:ff:ff:ff:ff:ff]}", `registration.allow[0]: found "ff:ff:ff:ff:ff:ff" (from FILE): expected the MAC address of one machine, such as d8:cb:8a:39:be:a1`},
	{"registration: {allow: [02:00:00:00:00:0a, 02-00-00-00-00-0A]}", `registration.allow[1]: found "02-00-00-00-00-0A" (from FILE): expected no entry twice: registration.allow[0] is the same`},
	{"registration: {timeout: 5}", `registration.timeout: found 5 (from FILE): expected a duration with its unit from 10ms to 1h, such as 5s`},
	{"registration: {timeout: 0s}", `registration.timeout: found "0s" (from FILE): expected a duration with its unit from 10ms to 1h, such as 5s`},
	{"registration: {timeout: -5s}", `registration.timeout: found "-5s" (from FILE): expected a duration with its unit from 10ms to 1h, such as 5s`},
	{"registration: {timeout: 61m}", `registration.timeout: found "61m" (from FILE): expected a duration with its unit from 10ms to 1h, such as 5s`},
	{"registration: {max_connections: 0}", `registration.max_connections: found 0 (from FILE): expected a whole number from 1 to 65536`},
	{"registration: {max_machines: 65537}", `registration.max_machines: found 65537 (from FILE): expected a whole number from 1 to 65536`},
	{"registration: {rate: -1}", `registration.rate: found -1 (from FILE): expected a whole number from 0 to 60000`},
	{"registration: {rate: 60/m}", `registration.rate: found "60/m" (from FILE): expected a whole number from 0 to 60000`},
	{"http: {token: hunter2}", `http.token: found a hidden value (from FILE): expected text of 8 to 256 bytes, in quotes if it looks like a number, or none`},
	{"http: {token: 123456789}", `http.token: found a hidden value (from FILE): expected text of 8 to 256 bytes, in quotes if it looks like a number, or none`},
	{"http: {token: '********'}", `http.token: found a hidden value (from FILE): expected the token itself: ******** is printed in its place`},
	{"http: {hosts: ['porter.example.org:9717']}", `http.hosts[0]: found "porter.example.org:9717" (from FILE): expected the name of a host, such as porter.example.org, without a port`},
	{"http: {hosts: ['*.example.org']}", `http.hosts[0]: found "*.example.org" (from FILE): expected the name of a host, such as porter.example.org, without a port`},
	{"http: {rate: 60001}", `http.rate: found 60001 (from FILE): expected a whole number from 0 to 60000`},
	{"http: {listen: ~, web_config: /nonexistent/web.yaml}", `http.web_config: found "/nonexistent/web.yaml" (from FILE): expected the path of a regular file: no such file or directory`},
	{"http: {web_config: /}", `http.web_config: found "/" (from FILE): expected the path of a regular file`},
	{"http: {listen: [':1', ':13717']}", `http.listen[1]: found ":13717" (from FILE): expected an address that is not in registration.listen`},
	{"probe: {interval: soon}", `probe.interval: found "soon" (from FILE): expected a duration with its unit from 10ms to 1h, such as 5s`},
	{"probe: {interval: 1h, misses: 100}", `probe.timeout: found 10m (the default): expected at least probe.interval x probe.misses, which is 100h`},
	{"probe: {misses: 3.5}", `probe.misses: found 3.5 (from FILE): expected a whole number from 1 to 100`},
	{"probe: {misses: '3'}", `probe.misses: found "3" (from FILE): expected a whole number from 1 to 100`},
	{"probe: {misses: 99999999999999999999}", `probe.misses: found 1e+20 (from FILE): expected a whole number from 1 to 100`},
	{"probe: {timeout: 2s}", `probe.timeout: found 2s (from FILE): expected at least probe.interval x probe.misses, which is 3s`},
	{"watch: {interval: 1}", `watch.interval: found 1 (from FILE): expected 0, or a duration with its unit from 10ms to 1h, such as 5s`},
	{"watch: {interval: 1ms}", `watch.interval: found "1ms" (from FILE): expected 0, or a duration with its unit from 10ms to 1h, such as 5s`},
	{"watch: {interval: -10s}", `watch.interval: found "-10s" (from FILE): expected 0, or a duration with its unit from 10ms to 1h, such as 5s`},
	{"watch: {interval: 61m}", `watch.interval: found "61m" (from FILE): expected 0, or a duration with its unit from 10ms to 1h, such as 5s`},
	{"watch: {intervall: 5s}", `watch.intervall: unknown key (from FILE): did you mean watch.interval?`},
	{"claim: {mode: proxy}", `claim.mode: found "proxy" (from FILE): expected responder or bind`},
	{"claim: {mode: bind, guard: off}", `claim.guard: found "off" (from FILE): expected auto or on, since claim.mode is bind: without the guard our own kernel would refuse every first connection`},
	{"claim: {mode: bind}\nwake: {local: true}", `wake.local: found true (from FILE): expected false, since claim.mode is bind: what this host sends to an address that its kernel owns never leaves it`},
	{"claim: {guard: maybe}", `claim.guard: found "maybe" (from FILE): expected auto, on or off`},
	{"claim: {guard: false}", `claim.guard: found false (from FILE): expected auto, on or off`},
	{"wake: {attempts: -1}", `wake.attempts: found -1 (from FILE): expected a whole number from 1 to 100`},
	{"wake: {attempts: 101}", `wake.attempts: found 101 (from FILE): expected a whole number from 1 to 100`},
	{"wake: {attempts: 2026-01-02}", `wake.attempts: found 2026-01-02 00:00:00 +0000 UTC (from FILE): expected a whole number from 1 to 100`},
	{"wake: {keep: yes}", `wake.keep: found "yes" (from FILE): expected true or false`},
	{"wake: {transports: []}", `wake.transports: found an empty list (from FILE): expected at least one of ethernet and udp`},
	{"wake: {transports: [pigeon]}", `wake.transports[0]: found "pigeon" (from FILE): expected ethernet or udp`},
	{"wake: {on_exit: some}", `wake.on_exit: found "some" (from FILE): expected none or all`},
	{"wake: {from: [192.0.2.7/24]}", `wake.from[0]: found "192.0.2.7/24" (from FILE): expected a network such as 192.0.2.0/24 without bits beyond its length, or one address`},
	{"wake: {from: [192.0.2.0/33]}", `wake.from[0]: found "192.0.2.0/33" (from FILE): expected a network such as 192.0.2.0/24 without bits beyond its length, or one address`},
	{"wake: {from: ['fe80::1%eth0']}", `wake.from[0]: found "fe80::1%eth0" (from FILE): expected a network such as 192.0.2.0/24 without bits beyond its length, or one address`},
	{"wake: {from: ['::ffff:192.0.2.1']}", `wake.from[0]: found "::ffff:192.0.2.1" (from FILE): expected a network such as 192.0.2.0/24 without bits beyond its length, or one address`},
	{"wake: {from: [192.0.2.1, 192.0.2.1/32]}", `wake.from[1]: found "192.0.2.1/32" (from FILE): expected no entry twice: wake.from[0] is the same`},
	{"wake: {local: on}", `wake.local: found "on" (from FILE): expected true or false`},
	{"wake: {established: 1}", `wake.established: found 1 (from FILE): expected true or false`},
	{"wake: {holdoff: 2h}", `wake.holdoff: found "2h" (from FILE): expected a duration with its unit from 0s to 1h, such as 5s`},
	{"wake: {min_knocks: 0}", `wake.min_knocks: found 0 (from FILE): expected a whole number from 1 to 10`},
	{"wake: {min_knocks: 11}", `wake.min_knocks: found 11 (from FILE): expected a whole number from 1 to 10`},
	{"wake: {knock_window: 999ms}", `wake.knock_window: found "999ms" (from FILE): expected a duration with its unit from 1s to 5m, such as 5s`},
	{"wake: {knock_window: 301s}", `wake.knock_window: found "301s" (from FILE): expected a duration with its unit from 1s to 5m, such as 5s`},
	{"wake: {quiet_hours: 22}", `wake.quiet_hours: found 22 (from FILE): expected times of the day such as 23:00-07:00, several separated by commas`},
	{"wake: {quiet_hours: [23:00-07:00]}", `wake.quiet_hours: found a list (from FILE): expected times of the day such as 23:00-07:00, several separated by commas`},
	{"wake: {quiet_hours: 23:00-24:01}", `wake.quiet_hours: found "23:00-24:01" (from FILE): expected times of the day such as 23:00-07:00, several separated by commas`},
	{"wake: {cooldown: 61m}", `wake.cooldown: found "61m" (from FILE): expected a duration with its unit from 0s to 1h, such as 5s`},
	{"hold: {packets: 0}", `hold.packets: found 0 (from FILE): expected a whole number from 1 to 1024`},
	{"hold: {ready_timeout: 0s}", `hold.ready_timeout: found "0s" (from FILE): expected a duration with its unit from 10ms to 1h, such as 5s`},
	{"energy: {idle_watts: .nan}", `energy.idle_watts: found NaN (from FILE): expected a number of watts from 0 to 100000`},
	{"energy: {idle_watts: -1}", `energy.idle_watts: found -1 (from FILE): expected a number of watts from 0 to 100000`},
	{"energy: {idle_watts: .inf}", `energy.idle_watts: found +Inf (from FILE): expected a number of watts from 0 to 100000`},
	{"energy: {idle_watts: 50W}", `energy.idle_watts: found "50W" (from FILE): expected a number of watts from 0 to 100000`},
	{"energy: {sleep_watts: 50.5}", `energy.sleep_watts: found 50.5 (from FILE): expected at most energy.idle_watts, which is 50`},
	{"wake: {atempts: 3}", `wake.atempts: unknown key (from FILE): did you mean wake.attempts?`},
	{"atempts: 3", `atempts: unknown key (from FILE): did you mean wake.attempts?`},
	{"attempts: 3", `attempts: unknown key (from FILE): did you mean wake.attempts?`},
	{"wake.attempts: 3", `wake.attempts: unknown key (from FILE): did you mean attempts below wake?`},
	{"clam: {mode: responder}", `clam: unknown key (from FILE): did you mean claim?`},
	{"colour: blue", `colour: unknown key (from FILE)`},
	{"wake: {1: 2}", `wake.1: unknown key (from FILE)`},
	{`"a\nb": 1`, `"a\nb": unknown key (from FILE)`},
	{strings.Repeat("k", 200) + ": 1", `kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...: unknown key (from FILE)`},
}

func TestBadValues(t *testing.T) {
	for _, tt := range badValues {
		t.Run(tt.file, func(t *testing.T) { refusedFile(t, tt.file, tt.want) })
	}
}

func refusedFile(t *testing.T, file, want string) {
	t.Helper()
	path := write(t, "config.yaml", file)
	refused(t, path, nil, nil, strings.ReplaceAll(want, "FILE", path))
}

// withoutLines leaves the numbers of lines out of an error. TestLines has them.
func withoutLines(err error) string {
	return regexp.MustCompile(`, line [0-9]+\)`).ReplaceAllString(err.Error(), ")")
}

func refused(t *testing.T, path string, environ []string, flags *pflag.FlagSet, want string) {
	t.Helper()
	c, err := config.Load(path, true, environ, flags, readURLs)
	if err == nil {
		t.Fatalf("accepted; want %s", want)
	}
	if c != nil {
		t.Error("an error, but a configuration as well")
	}
	if got := withoutLines(err); got != want {
		t.Errorf("error differs\n got: %s\nwant: %s", got, want)
	}
	if strings.Contains(strings.ReplaceAll(err.Error(), path, "FILE"), "hunter2") {
		t.Error("the error shows a secret")
	}
}

func TestBadEnvironment(t *testing.T) {
	path := write(t, "config.yaml", "")
	for _, tt := range []struct{ variable, want string }{
		{"NIGHTPORTER_WAKE__ATTEMPTS=-1", `wake.attempts: found -1 (from NIGHTPORTER_WAKE__ATTEMPTS): expected a whole number from 1 to 100`},
		{"NIGHTPORTER_WAKE__ATTEMPTS=six", `wake.attempts: found "six" (from NIGHTPORTER_WAKE__ATTEMPTS): expected a whole number from 1 to 100`},
		{"NIGHTPORTER_WAKE__KEEP=1", `wake.keep: found "1" (from NIGHTPORTER_WAKE__KEEP): expected true or false`},
		{"NIGHTPORTER_ENERGY__IDLE_WATTS=NaN", `energy.idle_watts: found NaN (from NIGHTPORTER_ENERGY__IDLE_WATTS): expected a number of watts from 0 to 100000`},
		{"NIGHTPORTER_ENERGY__IDLE_WATTS=", `energy.idle_watts: found "" (from NIGHTPORTER_ENERGY__IDLE_WATTS): expected a number of watts from 0 to 100000`},
		{"NIGHTPORTER_INTERFACES=eth0,,eth1", `interfaces[1]: found "" (from NIGHTPORTER_INTERFACES): expected the name of a network interface, such as eth0`},
		{"NIGHTPORTER_INTERFACES=eth\xff", `interfaces[0]: found "eth\xff" (from NIGHTPORTER_INTERFACES): expected the name of a network interface, such as eth0`},
		{"NIGHTPORTER_REGISTRATION__TOKEN=hunter2\x01", `registration.token: found a hidden value (from NIGHTPORTER_REGISTRATION__TOKEN): expected text of up to 256 bytes, in quotes if it looks like a number, or none`},
		{"NIGHTPORTER_REGISTRATION__TRUST=allowlist", `registration.allow: found an empty list (the default): expected at least one MAC address, since registration.trust is allowlist`},
		{"NIGHTPORTER_WAKE__LOCAL=yes", `wake.local: found "yes" (from NIGHTPORTER_WAKE__LOCAL): expected true or false`},
		{"NIGHTPORTER_MACHINES=hunter2", `machines: found a hidden value (from NIGHTPORTER_MACHINES): expected a value in the configuration file, the only place for it`},
		{"NIGHTPORTER_WAKE__ATEMPTS=3", `NIGHTPORTER_WAKE__ATEMPTS: unknown key (from the environment): did you mean NIGHTPORTER_WAKE__ATTEMPTS?`},
		{"NIGHTPORTER_WAKE_ATTEMPTS=3", `NIGHTPORTER_WAKE_ATTEMPTS: unknown key (from the environment): did you mean NIGHTPORTER_WAKE__ATTEMPTS?`},
		{"NIGHTPORTER_wake__attempts=3", `NIGHTPORTER_wake__attempts: unknown key (from the environment): did you mean NIGHTPORTER_WAKE__ATTEMPTS?`},
		{"NIGHTPORTER_STATEDIR=/x", `NIGHTPORTER_STATEDIR: unknown key (from the environment): did you mean NIGHTPORTER_STATE_DIR?`},
		{"NIGHTPORTER_=hunter2", `NIGHTPORTER_: unknown key (from the environment)`},
		{"NIGHTPORTER_COLOUR=hunter2", `NIGHTPORTER_COLOUR: unknown key (from the environment)`},
	} {
		t.Run(tt.variable, func(t *testing.T) { refused(t, path, []string{tt.variable}, nil, tt.want) })
	}
}

func TestBadFlags(t *testing.T) {
	path := write(t, "config.yaml", "wake: {attempts: 3}")
	for _, tt := range []struct{ flag, want string }{
		{"--wake.attempts=-1", `wake.attempts: found -1 (from --wake.attempts): expected a whole number from 1 to 100`},
		{"--wake.keep=maybe", `wake.keep: found "maybe" (from --wake.keep): expected true or false`},
		{"--http.listen=:13717", `http.listen[0]: found ":13717" (from --http.listen): expected an address that is not in registration.listen`},
		{"--wake.transports=", `wake.transports: found an empty list (from --wake.transports): expected at least one of ethernet and udp`},
	} {
		t.Run(tt.flag, func(t *testing.T) { refused(t, path, nil, parseFlags(t, tt.flag), tt.want) })
	}
}

// Everything wrong is said at once, each as an error of its own.
func TestErrorsAreJoined(t *testing.T) {
	path := write(t, "config.yaml", "wake: {attempts: 0, atempts: 1}\nhold: {packets: 0}\n")
	_, err := config.Load(path, true, []string{"NIGHTPORTER_X=1"}, parseFlags(t, "--wake.holdoff=-1s"))
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 5 {
		t.Fatalf("got %v, want five joined errors", err)
	}
	if bad, ok := errors.AsType[*config.Error](err); !ok || bad.Key != "wake.attempts" || bad.Origin != "from "+path+", line 1" {
		t.Errorf("got %+v, want the error of wake.attempts", bad)
	}
	if unknown, ok := errors.AsType[*config.UnknownKeyError](err); !ok || unknown.Key != "wake.atempts" || unknown.Suggestion != "wake.attempts" {
		t.Errorf("got %+v, want the unknown key wake.atempts", unknown)
	}
}

// Bind mode names every setting beside it that cannot work, each at its source.
func TestBindNeedsOthers(t *testing.T) {
	path := write(t, "config.yaml", "claim: {guard: off}\n")
	refused(t, path, []string{"NIGHTPORTER_CLAIM__MODE=bind"}, parseFlags(t, "--wake.local"), "claim.guard: found \"off\" (from "+path+
		"): expected auto or on, since claim.mode is bind: without the guard our own kernel would refuse every first connection\n"+
		"wake.local: found true (from --wake.local): expected false, since claim.mode is bind: what this host sends to an address that its kernel owns never leaves it")
	for _, file := range []string{
		"claim: {mode: bind, guard: on}\nwake: {established: true}",
		"claim: {mode: bind, guard: auto}",
		"claim: {mode: responder, guard: off}\nwake: {local: true}",
	} {
		load(t, file, nil)
	}
}

// A value that is wrong by itself is not also compared with others.
func TestOneMistakeOneError(t *testing.T) {
	for _, tt := range []struct{ file, key string }{
		{"energy: {idle_watts: x}\n" + oneMachine("sleep_watts: 60"), "energy.idle_watts"},
		{"probe: {misses: 1000, timeout: 10ms}", "probe.misses"},
		{"registration: {trust: allowlist, allow: [x]}", "registration.allow[0]"},
		{"registration: {listen: [':9717', x]}", "registration.listen[1]"},
		{"claim: {mode: proxy, guard: off}\nwake: {local: true}", "claim.mode"},
		{"claim: {mode: bind, guard: never}\nwake: {local: true}", "claim.guard"},
		{"claim: {mode: bind, guard: off}\nwake: {local: 1}", "wake.local"},
	} {
		_, err := config.Load(write(t, "config.yaml", tt.file), true, nil, nil)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), tt.key+": ") {
			t.Errorf("%s: got %v, want one error of %s", tt.file, err, tt.key)
		}
	}
}

func TestManyErrors(t *testing.T) {
	_, err := config.Load(write(t, "config.yaml", "interfaces: ["+strings.Repeat("a/b, ", 1000)+"]"), true, nil, nil)
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 21 || lines[20] != "and 980 more errors" {
		t.Errorf("got %d lines, the last %q; want 20 and how many more", len(lines), lines[len(lines)-1])
	}
}
