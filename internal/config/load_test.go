package config_test

import (
	"errors"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"nightporter/internal/config"
	"nightporter/internal/journal"
	"nightporter/internal/notify"
	"nightporter/internal/notifyconf"
	"nightporter/internal/wakefilter"
)

// contract is the defaults, written out a second time: they are promised to
// people outside.
func contract() *config.Config {
	return &config.Config{
		StateDir: "/var/lib/nightporter",
		Log:      config.Log{Level: slog.LevelInfo, Format: "text"},
		Registration: config.Registration{
			Listen: []string{":13717"}, Trust: "self", Timeout: 5 * time.Second, MaxConnections: 64, MaxMachines: 1024, Rate: 6000,
		},
		HTTP:   config.HTTP{Listen: []string{":9717"}, Rate: 600},
		Probe:  config.Probe{Interval: time.Second, Misses: 3, Timeout: 10 * time.Minute},
		Watch:  config.Watch{Interval: 10 * time.Second},
		Claim:  config.Claim{Mode: "responder", Guard: "auto"},
		Wake:   config.Wake{Attempts: 6, Interval: 15 * time.Second, Timeout: 5 * time.Minute, Keep: true, Transports: []string{"ethernet", "udp"}, OnExit: "none", MinKnocks: 1, KnockWindow: 10 * time.Second},
		Hold:   config.Hold{Packets: 64, ReadyTimeout: time.Minute},
		Energy: config.Energy{IdleWatts: 50, SleepWatts: 2},
		Notify: notifyconf.Settings{Events: []journal.Kind{"failed", "conflict", "elsewhere", "redefined"}, Rate: 12},
	}
}

// settings gives every key but machines a value that is not the default, as text
// and as YAML, and makes the same change to a Config.
func settings(t *testing.T) map[string]setting {
	webConfig := write(t, "web.yaml", "{}")
	return map[string]setting{
		"interfaces":                   {"eth0,br-lan", "[eth0, br-lan]", func(c *config.Config) { c.Interfaces = []string{"eth0", "br-lan"} }},
		"state_dir":                    {"/srv/porter", "/srv/porter", func(c *config.Config) { c.StateDir = "/srv/porter" }},
		"user":                         {"daemon", "daemon", func(c *config.Config) { c.User = "daemon" }},
		"log.level":                    {"debug", "debug", func(c *config.Config) { c.Log.Level = slog.LevelDebug }},
		"log.format":                   {"json", "json", func(c *config.Config) { c.Log.Format = config.FormatJSON }},
		"registration.listen":          {"[::1]:1, porter.lan:2", `["[::1]:1", "porter.lan:2"]`, func(c *config.Config) { c.Registration.Listen = []string{"[::1]:1", "porter.lan:2"} }},
		"registration.trust":           {"open", "open", func(c *config.Config) { c.Registration.Trust = config.TrustOpen }},
		"registration.token":           {"12345, 6", `"12345, 6"`, func(c *config.Config) { c.Registration.Token = "12345, 6" }},
		"registration.allow":           {"02-00-00-00-00-0A", "[02-00-00-00-00-0A]", func(c *config.Config) { c.Registration.Allow = []ether.MAC{{2, 0, 0, 0, 0, 10}} }},
		"registration.timeout":         {"1m30s", "1m30s", func(c *config.Config) { c.Registration.Timeout = 90 * time.Second }},
		"registration.max_connections": {"1", "1", func(c *config.Config) { c.Registration.MaxConnections = 1 }},
		"registration.max_machines":    {"65536", "65536", func(c *config.Config) { c.Registration.MaxMachines = 65536 }},
		"registration.rate":            {"60000", "60000", func(c *config.Config) { c.Registration.Rate = 60000 }},
		"http.rate":                    {"0", "0", func(c *config.Config) { c.HTTP.Rate = 0 }},
		"http.token":                   {"12345, 6", `"12345, 6"`, func(c *config.Config) { c.HTTP.Token = "12345, 6" }},
		"http.hosts":                   {"pi.example.org, b", "[pi.example.org, b]", func(c *config.Config) { c.HTTP.Hosts = []string{"pi.example.org", "b"} }},
		"http.listen":                  {"", "[]", func(c *config.Config) { c.HTTP.Listen = nil }},
		"http.web_config":              {webConfig, webConfig, func(c *config.Config) { c.HTTP.WebConfig = webConfig }},
		"probe.interval":               {"10ms", "10ms", func(c *config.Config) { c.Probe.Interval = 10 * time.Millisecond }},
		"probe.misses":                 {"100", "100", func(c *config.Config) { c.Probe.Misses = 100 }},
		"probe.timeout":                {"24h", "24h", func(c *config.Config) { c.Probe.Timeout = 24 * time.Hour }},
		"watch.interval":               {"0", "0", func(c *config.Config) { c.Watch.Interval = 0 }},
		"claim.mode":                   {"bind", "bind", func(c *config.Config) { c.Claim.Mode = config.ModeBind }},
		"claim.guard":                  {"on", "on", func(c *config.Config) { c.Claim.Guard = config.GuardOn }},
		"claim.override_offload":       {"true", "true", func(c *config.Config) { c.Claim.OverrideOffload = true }},
		"wake.attempts":                {"1", "1", func(c *config.Config) { c.Wake.Attempts = 1 }},
		"wake.interval":                {"1h", "1h", func(c *config.Config) { c.Wake.Interval = time.Hour }},
		"wake.timeout":                 {"24h", "24h", func(c *config.Config) { c.Wake.Timeout = 24 * time.Hour }},
		"wake.keep":                    {"false", "false", func(c *config.Config) { c.Wake.Keep = false }},
		"wake.transports":              {"udp", "[udp]", func(c *config.Config) { c.Wake.Transports = []string{config.TransportUDP} }},
		"wake.on_exit":                 {"all", "all", func(c *config.Config) { c.Wake.OnExit = config.OnExitAll }},
		"wake.from": {"192.0.2.0/24,2001:db8::1", `[192.0.2.0/24, "2001:db8::1"]`, func(c *config.Config) {
			c.Wake.From = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")}
		}},
		"wake.local":        {"true", "true", func(c *config.Config) { c.Wake.Local = true }},
		"wake.established":  {"true", "true", func(c *config.Config) { c.Wake.Established = true }},
		"wake.holdoff":      {"7s", "7s", func(c *config.Config) { c.Wake.Holdoff = 7 * time.Second }},
		"wake.min_knocks":   {"3", "3", func(c *config.Config) { c.Wake.MinKnocks = 3 }},
		"wake.knock_window": {"5m", "5m", func(c *config.Config) { c.Wake.KnockWindow = 5 * time.Minute }},
		"wake.quiet_hours": {"23:00-7:00,13:00-14:30", "23:00-07:00, 13:00-14:30", func(c *config.Config) {
			c.Wake.QuietHours = wakefilter.Hours{{From: 23 * 60, To: 7 * 60}, {From: 13 * 60, To: 14*60 + 30}}
		}},
		"wake.cooldown":      {"1m30s", "1m30s", func(c *config.Config) { c.Wake.Cooldown = 90 * time.Second }},
		"hold.packets":       {"1024", "1024", func(c *config.Config) { c.Hold.Packets = 1024 }},
		"hold.ready_timeout": {"500ms", "500ms", func(c *config.Config) { c.Hold.ReadyTimeout = 500 * time.Millisecond }},
		"energy.idle_watts":  {"1e5", "100000", func(c *config.Config) { c.Energy.IdleWatts = 100000 }},
		"notify.urls": {"telegram://1:hunter2@telegram?chats=a,b, ntfy://ntfy.sh/hunter2,generic+http://[::1]:8080/?@x=1",
			`["telegram://1:hunter2@telegram?chats=a,b", ntfy://ntfy.sh/hunter2, "generic+http://[::1]:8080/?@x=1"]`,
			func(c *config.Config) {
				c.Notify.URLs = []notifyconf.Target{
					target(t, "telegram://1:hunter2@telegram?chats=a,b"), target(t, "ntfy://ntfy.sh/hunter2"), target(t, "generic+http://[::1]:8080/?@x=1"),
				}
			}},
		"notify.events":      {"refused,failed", "[refused, failed]", func(c *config.Config) { c.Notify.Events = []journal.Kind{"refused", "failed"} }},
		"notify.rate":        {"60", "60", func(c *config.Config) { c.Notify.Rate = 60 }},
		"energy.sleep_watts": {"0.5", "0.5", func(c *config.Config) { c.Energy.SleepWatts = 0.5 }},
		"energy.price":       {"0.3 EUR", "0.30 EUR", func(c *config.Config) { c.Energy.Price = config.Price{Amount: 0.3, Currency: "EUR"} }},
		"http.links": {"", "{grafana: 'https://g.lan/x', My NAS: http://192.0.2.7}", func(c *config.Config) {
			c.HTTP.Links = map[string]string{"grafana": "https://g.lan/x", "My NAS": "http://192.0.2.7"}
		}},
	}
}

type setting struct {
	text, yaml string
	change     func(*config.Config)
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func parseFlags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.AddFlags(fs)
	fs.String("config", config.DefaultPath, "not a key")
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

func load(t *testing.T, file string, environ []string, args ...string) *config.Config {
	t.Helper()
	c, err := config.Load(write(t, "config.yaml", file), true, environ, parseFlags(t, args...), readURLs)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// readURLs has URLs read as the program does it.
var readURLs = config.ReadURLs(notify.ReadURL)

// same compares configurations; netip's types have unexported fields.
func same(t *testing.T, got, want *config.Config) {
	t.Helper()
	equal := cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmp.Comparer(func(a, b notifyconf.Target) bool { return a == b }),
	}
	if d := cmp.Diff(want, got, equal); d != "" {
		t.Errorf("configuration differs (-want +got):\n%s", d)
	}
}

func target(t *testing.T, url string) notifyconf.Target {
	t.Helper()
	parsed, err := notifyconf.Parse(url, notify.ReadURL)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// nest writes a value below its path as YAML.
func nest(path, value string) string {
	section, name, nested := strings.Cut(path, ".")
	if !nested {
		return path + ": " + value + "\n"
	}
	return section + ":\n  " + name + ": " + value + "\n"
}

func TestDefault(t *testing.T) {
	same(t, config.Default(), contract())
	for name, file := range map[string]string{
		"empty":          "",
		"comments":       "# nothing\n\n",
		"document start": "---\n",
		"null":           "~\n",
		"empty mapping":  "{}\n",
		"only sections":  "wake:\nregistration: {}\nmachines:\ninterfaces:\nprobe: {misses: ~}\n",
	} {
		t.Run(name, func(t *testing.T) { same(t, load(t, file, nil), contract()) })
	}
}

func TestMissingFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "config.yaml")
	c, err := config.Load(missing, false, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, c, contract())
	if _, err := config.Load(missing, true, nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("explicit: got %v, want not exist", err)
	}
}

func TestEveryKeyThroughEveryLayer(t *testing.T) {
	all := settings(t)
	for _, k := range config.Keys() {
		if k.Path == "machines" {
			continue
		}
		s, ok := all[k.Path]
		if !ok {
			t.Errorf("%s: not tested", k.Path)
			continue
		}
		want := contract()
		s.change(want)
		t.Run(k.Path+" file", func(t *testing.T) { same(t, load(t, nest(k.Path, s.yaml), nil), want) })
		if k.Env == "" {
			continue // a mapping, for a file only
		}
		t.Run(k.Path+" environment", func(t *testing.T) { same(t, load(t, "", []string{k.Env + "=" + s.text}), want) })
		if k.Path == "notify.urls" || k.Path == "http.token" {
			continue // refused there: see TestSecretsNotOnTheCommandLine
		}
		t.Run(k.Path+" flag", func(t *testing.T) { same(t, load(t, "", nil, "--"+k.Path+"="+s.text), want) })
	}
}

func TestPrecedence(t *testing.T) {
	const file = "wake: {attempts: 2, transports: [udp], interval: 2s}\nprobe: {misses: 4}\n"
	environ := []string{"PATH=/bin", "NIGHTPORTER_WAKE__ATTEMPTS=3", "NIGHTPORTER_WAKE__INTERVAL=3s", "NIGHTPORTERS=none of ours", "XNIGHTPORTER_Y=1"}
	c := load(t, file, environ, "--wake.attempts", "4", "--config", "/elsewhere")
	want := contract()
	want.Wake.Attempts = 4                 // flag over environment over file
	want.Wake.Interval = 3 * time.Second   // environment over file
	want.Wake.Transports = []string{"udp"} // file over default: a list replaces, it does not add
	want.Probe.Misses = 4
	same(t, c, want)
}

// A bad value that a later layer replaces does no harm.
func TestOverriddenValueIsNotChecked(t *testing.T) {
	c := load(t, "wake: {attempts: many}\n", []string{"NIGHTPORTER_PROBE__MISSES=few"}, "--wake.attempts=2", "--probe.misses=2")
	if c.Wake.Attempts != 2 || c.Probe.Misses != 2 {
		t.Errorf("got %d attempts and %d misses, want 2 and 2", c.Wake.Attempts, c.Probe.Misses)
	}
}

func TestFlags(t *testing.T) {
	c := load(t, "wake: {keep: false}\n", nil, "--wake.keep", "--interfaces", "eth0", "--interfaces", "eth1,eth2")
	want := contract()
	want.Interfaces = []string{"eth0", "eth1", "eth2"}
	same(t, c, want)

	fs := parseFlags(t)
	for _, k := range config.Keys() {
		f := fs.Lookup(k.Path)
		if (f == nil) != (k.Env == "") {
			t.Errorf("--%s: flag present: %v", k.Path, f != nil)
			continue
		}
		if f != nil && f.Usage != k.Help {
			t.Errorf("--%s: usage %q, want %q", k.Path, f.Usage, k.Help)
		}
	}
	if usage := fs.FlagUsages(); !strings.Contains(usage, "--probe.timeout DURATION") || !strings.Contains(usage, "(default 10m)") {
		t.Errorf("usage lacks the type or the default of --probe.timeout:\n%s", usage)
	}
}

func TestEdges(t *testing.T) {
	c := load(t, `
registration: {listen: [":0"]}
http: {listen: [":0"]} # each gets a free port of its own
probe: {timeout: 3s}   # exactly the time that three misses take
energy: {idle_watts: 2, sleep_watts: 2.0}
`, nil)
	if c.Probe.Timeout != 3*time.Second || c.Energy.SleepWatts != 2 {
		t.Errorf("got %+v", c)
	}
	c = load(t, "energy: {sleep_watts: -0.0}", nil)
	if math.Signbit(c.Energy.SleepWatts) {
		t.Error("watts of minus zero")
	}
}
