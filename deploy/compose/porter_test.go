package compose_test

import (
	"go/version"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/config"
	"nightporter/internal/privilege"
)

// TestPorter: the daemon is in the host's network, has only the two capabilities, and keeps
// its state on a volume.
func TestPorter(t *testing.T) {
	porter := read(t).Services["nightporter"]
	if porter.NetworkMode != "host" || len(porter.Ports) > 0 {
		t.Errorf("network_mode %q, ports %q: expected the host's network, where ports cannot be published", porter.NetworkMode, porter.Ports)
	}
	var capabilities []string
	for _, name := range porter.CapAdd {
		capabilities = append(capabilities, "CAP_"+name)
	}
	slices.Sort(capabilities)
	if got, want := strings.Join(capabilities, " "), privilege.Working.String(); got != want {
		t.Errorf("cap_add: found %s, expected %s", got, want)
	}
	if !porter.ReadOnly {
		t.Error("its files can be written to")
	}
	to := make(map[string]mount)
	for _, m := range porter.mounts(t) {
		to[m.to] = m
	}
	if m, ok := to[config.Default().StateDir]; !ok || m.bind {
		t.Errorf("%s: found %+v, expected a volume", config.Default().StateDir, m)
	}
	if _, ok := to["/etc/localtime"]; !ok {
		t.Error("it does not know the host's time zone")
	}
	// With no_new_privs the kernel ignores file capabilities (execve(2)).
	if len(porter.SecurityOpt) > 0 || porter.User != "" {
		t.Errorf("security_opt %q, user %q: expected none", porter.SecurityOpt, porter.User)
	}
}

// TestPorterConfig: the configuration is valid and equal to the defaults.
func TestPorterConfig(t *testing.T) {
	file := read(t).Services["nightporter"].host(t, config.DefaultPath)
	conf, err := config.Load(file, true, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), conf, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}, netip.AddrPort{})); diff != "" {
		t.Errorf("it differs from the defaults (-default +compose)\n%s", diff)
	}
}

var toolchain = regexp.MustCompile(`(?m)^toolchain go(\S+)$`)

// TestToolchain: every module is built with the same Go, which has the known security fixes.
func TestToolchain(t *testing.T) {
	var versions []string
	for _, module := range []string{"go.mod", "dashboards/go.mod", "deploy/compose/schema/go.mod", "deploy/image/go.mod", "deploy/packages/go.mod"} {
		found := toolchain.FindStringSubmatch(slurp(t, filepath.Join("../..", module)))
		if found == nil || version.Compare("go"+found[1], "go1.26.8") < 0 {
			t.Fatalf("%s: toolchain: found %q, expected go1.26.8 or later", module, found)
		}
		versions = append(versions, found[1])
	}
	if len(slices.Compact(versions)) != 1 {
		t.Errorf("the modules are built with %q", versions)
	}
}

func slurp(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
