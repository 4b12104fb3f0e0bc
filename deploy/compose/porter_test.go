package compose_test

import (
	"fmt"
	"go/version"
	"net/netip"
	"os"
	"path"
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

// TestPorter: the daemon is in the host's network, has the two capabilities and
// nothing else, and keeps its state.
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
	listen := config.Default().HTTP.Listen
	if url := porter.Healthcheck.Test[len(porter.Healthcheck.Test)-1]; !slices.Equal(listen, []string{":9717"}) || url != "http://127.0.0.1:9717/-/healthy" {
		t.Errorf("the health check asks %s, the daemon listens at %q", url, listen)
	}
}

// TestPorterIsNotRoot: the image has a user, the same that a root becomes, the program
// gets just the capabilities that compose.yaml gives to the container, and nothing in
// compose.yaml undoes that.
func TestPorterIsNotRoot(t *testing.T) {
	porter := read(t).Services["nightporter"]
	text := slurp(t, filepath.Join(porter.Build.Context, porter.Build.Dockerfile))
	user := fmt.Sprintf("%d:%[1]d", privilege.Unused)
	if found := regexp.MustCompile(`(?m)^USER (.*)$`).FindAllStringSubmatch(text, -1); len(found) != 1 || found[0][1] != user {
		t.Errorf("USER: found %q, expected %s", found, user)
	}
	if state := "COPY --from=build --chown=" + user + " /state " + config.Default().StateDir + "\n"; !strings.Contains(text, state) {
		t.Errorf("the Dockerfile lacks %q: a new volume would be root's", state)
	}
	found := regexp.MustCompile(`setcap (\S+)=p /nightporter `).FindStringSubmatch(text)
	if found == nil {
		t.Fatal("the program gets no capabilities")
	}
	given, added := strings.Split(strings.ToUpper(found[1]), ","), make([]string, 0, 2)
	for _, name := range porter.CapAdd {
		added = append(added, "CAP_"+name)
	}
	slices.Sort(given)
	slices.Sort(added)
	if !slices.Equal(given, added) {
		t.Errorf("the program's file has %q, the container %q", given, added)
	}
	// The kernel gives nothing of a file's to a process that may not gain privileges.
	if len(porter.SecurityOpt) > 0 || porter.User != "" {
		t.Errorf("security_opt %q, user %q: expected none", porter.SecurityOpt, porter.User)
	}
}

// TestPorterConfig: the configuration is valid, and as yet nobody's wish.
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

var (
	from      = regexp.MustCompile(`(?m)^FROM (\S+)(?: AS (\w+))?$`)
	copies    = regexp.MustCompile(`(?m)^COPY (\S.*) (\S+)$`)
	toolchain = regexp.MustCompile(`(?m)^toolchain go(\S+)$`)
)

// TestToolchain: every module is built with the same Go, which is not one with faults
// that were mended since.
func TestToolchain(t *testing.T) {
	root := read(t).Services["nightporter"].Build.Context
	var versions []string
	for _, module := range []string{"go.mod", "dashboards/go.mod", "deploy/compose/schema/go.mod"} {
		found := toolchain.FindStringSubmatch(slurp(t, filepath.Join(root, module)))
		if found == nil || version.Compare("go"+found[1], "go1.26.8") < 0 {
			t.Fatalf("%s: toolchain: found %q, expected go1.26.8 or later", module, found)
		}
		versions = append(versions, found[1])
	}
	if len(slices.Compact(versions)) != 1 {
		t.Errorf("the modules are built with %q", versions)
	}
}

// TestDockerfile: it builds what is in the repository, with a Go that can, and
// nothing that would need a library.
func TestDockerfile(t *testing.T) {
	build := read(t).Services["nightporter"].Build
	text := slurp(t, filepath.Join(build.Context, build.Dockerfile))
	stages := from.FindAllStringSubmatch(text, -1)
	if len(stages) != 2 || stages[1][1] != "scratch" {
		t.Fatalf("stages: found %q, expected one that builds, and scratch", stages)
	}
	want := toolchain.FindStringSubmatch(slurp(t, filepath.Join(build.Context, "go.mod")))[1]
	tag, ok := strings.CutPrefix(stages[0][1], "golang:")
	if got, _, _ := strings.Cut(tag, "-"); !ok || version.Compare("go"+got, "go"+want) < 0 {
		t.Errorf("built with %s, but go.mod wants %s", stages[0][1], want)
	}
	let := slurp(t, filepath.Join(build.Context, build.Dockerfile+".dockerignore"))
	for _, c := range copies.FindAllStringSubmatch(text, -1) {
		if strings.HasPrefix(c[1], "--from=") {
			continue
		}
		for _, name := range strings.Fields(c[1]) {
			if _, err := os.Stat(filepath.Join(build.Context, name)); err != nil || !strings.Contains(let, "\n!"+name+"\n") {
				t.Errorf("COPY %s: %v, or .dockerignore leaves it out", name, err)
			}
		}
	}
	for _, words := range []string{"CGO_ENABLED=0 go build", "github.com/prometheus/common/version.Version=${VERSION}", "-o /nightporter ./cmd/nightporter",
		"COPY --from=build /nightporter /bin/nightporter", `ENTRYPOINT ["/bin/nightporter"]`, `CMD ["serve"]`} {
		if !strings.Contains(text, words) {
			t.Errorf("the Dockerfile lacks %s", words)
		}
	}
	for arg := range build.Args {
		if !strings.Contains(text, "\nARG "+arg+"=") {
			t.Errorf("the Dockerfile knows no %s", arg)
		}
	}
	if program := read(t).Services["nightporter"].Healthcheck.Test[1]; !strings.Contains(text, " "+path.Clean(program)+"\n") {
		t.Errorf("the image has no %s for the health check", program)
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
