// Package systemd_test checks the systemd units that are shipped.
package systemd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// units are the shipped units with the values that each must contain. An empty value means
// that the key must be missing.
var units = map[string]map[string]string{
	"nightporter.service": {
		"Unit.Wants":                      "network-online.target",
		"Unit.After":                      "network-online.target",
		"Service.Type":                    "notify",
		"Service.ExecStart":               "/usr/local/bin/nightporter serve",
		"Service.ExecReload":              `/bin/sh -c 'kill -HUP "$MAINPID"'`,
		"Service.Restart":                 "on-failure",
		"Service.WatchdogSec":             "30",
		"Service.DynamicUser":             "yes",
		"Service.User":                    "nightporter",
		"Service.StateDirectory":          "nightporter",
		"Service.ConfigurationDirectory":  "nightporter",
		"Service.AmbientCapabilities":     "CAP_NET_RAW CAP_NET_ADMIN",
		"Service.CapabilityBoundingSet":   "CAP_NET_RAW CAP_NET_ADMIN",
		"Service.NoNewPrivileges":         "yes",
		"Service.ProtectSystem":           "strict",
		"Service.ProtectHome":             "yes",
		"Service.PrivateTmp":              "yes",
		"Service.ProtectKernelTunables":   "yes",
		"Service.ProtectKernelModules":    "yes",
		"Service.ProtectKernelLogs":       "yes",
		"Service.RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET",
		"Service.SystemCallFilter":        "@system-service ~@privileged @resources capset", // see also TestUnderTheUnitsFilter
		"Service.PrivateMounts":           "yes",
		"Service.DevicePolicy":            "closed",
		"Service.LimitCORE":               "0",
		"Service.MemoryMax":               "256M",
		"Service.TasksMax":                "256",
		"Service.ProcSubset":              "", // /proc/sys has the host's forwarding
		"Service.MemoryDenyWriteExecute":  "yes",
		"Service.LockPersonality":         "yes",
		"Service.RestrictNamespaces":      "yes",
		"Service.PrivateNetwork":          "", // it needs the host's network
		"Service.PrivateUsers":            "", // capabilities would not apply to the host's network
		"Service.NoExecPaths":             "", // a wake_command may have any path
		"Install.WantedBy":                "multi-user.target",
	},
	"../machine/nightporter-register.service": {
		"Unit.Wants":                 "network-online.target",
		"Unit.After":                 "network.target network-online.target nss-lookup.target",
		"Unit.DefaultDependencies":   "", // the defaults stop it at shutdown
		"Service.Type":               "oneshot",
		"Service.RemainAfterExit":    "yes", // otherwise ExecStop would run after the start
		"Service.ExecStart":          "-/usr/local/lib/nightporter/nightporter-register.py --watch",
		"Service.ExecStop":           "/usr/local/lib/nightporter/nightporter-register.py --at-shutdown",
		"Service.TimeoutStopSec":     "20",
		"Service.RestrictNamespaces": "yes",
		"Install.WantedBy":           "multi-user.target",
	},
	"../machine/nightporter-register-sleep.service": {
		"Unit.Before":             "sleep.target",
		"Service.Type":            "oneshot",
		"Service.RemainAfterExit": "", // otherwise it would run only before the first sleep
		"Service.ExecStart":       "/usr/local/lib/nightporter/nightporter-register.py",
		"Service.ExecStop":        "",
		"Service.TimeoutStartSec": "20",
		"Install.WantedBy":        "sleep.target",
	},
}

// lists are the keys that may occur several times; their values are joined.
var lists = []string{"Service.SystemCallFilter"}

// parse returns the values of a unit file by "Section.Key".
func parse(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]string)
	section := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		default:
			key, value, ok := strings.Cut(line, "=")
			key = section + "." + key
			if before, twice := values[key]; twice && slices.Contains(lists, key) {
				value = before + " " + value
			} else if !ok || section == "" || twice {
				t.Errorf("%s: %q is misplaced or a duplicate", path, line)
			}
			values[key] = value
		}
	}
	return values
}

func TestUnits(t *testing.T) {
	for path, want := range units {
		t.Run(filepath.Base(path), func(t *testing.T) {
			got := parse(t, path)
			for key, value := range want {
				if got[key] != value {
					t.Errorf("%s: found %q, want %q", key, got[key], value)
				}
			}
			if got["Unit.Description"] == "" {
				t.Error("no description")
			}
		})
	}
}

func TestEveryUnitIsChecked(t *testing.T) {
	var all []string
	for _, pattern := range []string{"*.service", "../machine/*.service"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	for _, path := range all {
		if units[path] == nil {
			t.Errorf("%s is not checked", path)
		}
	}
	if len(all) != len(units) {
		t.Errorf("found %q", all)
	}
}

// TestUnitsFindTheScript compares the units with the README's install commands and with the
// options of the script.
func TestUnitsFindTheScript(t *testing.T) {
	readme, err := os.ReadFile("../machine/README.md")
	if err != nil {
		t.Fatal(err)
	}
	const script = "/usr/local/lib/nightporter/nightporter-register.py"
	if !strings.Contains(string(readme), "install -D -m 755 nightporter-register.py "+script+"\n") {
		t.Errorf("the README does not install %s", script)
	}
	info, err := os.Stat("../machine/nightporter-register.py")
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode()&0o111 == 0 {
		t.Error("the script is not executable")
	}
	source, err := os.ReadFile("../machine/nightporter-register.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"../machine/nightporter-register.service", "../machine/nightporter-register-sleep.service"} {
		for key, value := range parse(t, path) {
			if !strings.HasPrefix(key, "Service.Exec") {
				continue
			}
			words := strings.Fields(strings.TrimPrefix(value, "-"))
			if words[0] != script {
				t.Errorf("%s: %s runs %s", path, key, words[0])
			}
			for _, option := range words[1:] {
				if !strings.Contains(string(source), `add_argument("`+option+`"`) {
					t.Errorf("%s: the script has no option %s", path, option)
				}
			}
		}
	}
}

var commands = regexp.MustCompile(`(?m)^(Exec\w+=-?)\S+`)

// program returns the path of a program. Without the program the test is skipped, in CI it
// fails.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		unavailable(t, err)
	}
	return path
}

// unavailable skips a test that cannot run on this host. In CI the test fails.
func unavailable(t *testing.T, why any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip("not tested:", why)
}

// TestVerify: systemd-analyze accepts the units.
func TestVerify(t *testing.T) {
	analyze := program(t, "systemd-analyze")
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	for path := range units {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// The commands are not installed on this host, so that systemd would report them.
		b = commands.ReplaceAll(b, []byte("${1}/bin/true"))
		copied := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(copied, b, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, copied)
	}
	slices.Sort(args[2:])
	out, err := exec.Command(analyze, args...).CombinedOutput()
	// It also reads the host's own units, whose faults are ignored.
	if ours := regexp.MustCompile(`(?m)^.*nightporter.*$`).FindAllString(string(out), -1); len(ours) > 0 {
		t.Errorf("%v: %s", err, strings.Join(ours, "\n"))
	}
}

var overall = regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d+)`)

// mostExposed is the highest exposure that systemd may report; version 252 reports 1.9. The
// rest is due to the host's network, packet and netlink sockets and two capabilities, which
// the daemon needs.
const mostExposed = 2.0

// TestExposure checks the exposure of the daemon's unit.
func TestExposure(t *testing.T) {
	analyze := program(t, "systemd-analyze")
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "./nightporter.service").CombinedOutput()
	found := overall.FindSubmatch(out)
	if found == nil {
		unavailable(t, fmt.Sprintf("%v: %s", err, out)) // systemd before 250 cannot check units that are not loaded
	}
	exposure, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil || exposure > mostExposed {
		t.Errorf("exposure %v, %v, want at most %v\n%s", exposure, err, mostExposed, out)
	}
}
