// Package compose_test checks the files of the example stack, and runs the porter's image in
// Podman. The module schema checks compose.yaml with docker compose's library.
package compose_test

import (
	"bytes"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// stack is compose.yaml.
type stack struct {
	Name     string
	Services map[string]service
	Volumes  map[string]any
}

// service has the keys of a service that the stack uses. Other keys are errors, so that one
// such as privileged is not added without a check here.
type service struct {
	Image       string
	Command     []string
	Environment map[string]string
	User        string
	NetworkMode string   `yaml:"network_mode"`
	CapDrop     []string `yaml:"cap_drop"`
	CapAdd      []string `yaml:"cap_add"`
	SecurityOpt []string `yaml:"security_opt"`
	ReadOnly    bool     `yaml:"read_only"`
	ExtraHosts  []string `yaml:"extra_hosts"`
	Ports       []string
	Volumes     []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck struct {
		Test              []string
		Interval, Timeout string
		StartPeriod       string `yaml:"start_period"`
		Retries           int
		Disable           bool
	}
	Restart string
	Logging struct {
		Driver  string
		Options map[string]string
	}
}

// mount is one entry of a service's volumes.
type mount struct {
	from, to string // from is a path of the host or the name of a volume
	bind     bool
	readOnly bool
}

func (s service) mounts(t *testing.T) []mount {
	t.Helper()
	var all []mount
	for _, v := range s.Volumes {
		part := strings.Split(v, ":")
		if len(part) < 2 || len(part) > 3 || len(part) == 3 && part[2] != "ro" {
			t.Errorf("volume %q: expected FROM:TO or FROM:TO:ro", v)
			continue
		}
		all = append(all, mount{part[0], part[1], strings.ContainsAny(part[0], "/."), len(part) == 3})
	}
	return all
}

// host returns the host's path of a path in the container. The test fails if it does not
// exist.
func (s service) host(t *testing.T, name string) string {
	t.Helper()
	for _, m := range s.mounts(t) {
		rest, inside := strings.CutPrefix(name, m.to)
		if !m.bind || !inside || rest != "" && rest[0] != '/' {
			continue
		}
		onHost := filepath.Join(m.from, rest)
		if _, err := os.Stat(onHost); err != nil {
			t.Errorf("%s of the container: %v", name, err)
		}
		return onHost
	}
	t.Fatalf("%s is not mounted", name)
	return ""
}

func decode(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func read(t *testing.T) stack {
	t.Helper()
	var s stack
	decode(t, "compose.yaml", &s)
	return s
}

// own matches the porter's image, which make image builds.
const own = "${NIGHTPORTER_IMAGE:-nightporter:latest}"

// pinned matches an image with a complete version.
var pinned = regexp.MustCompile(`^[a-z/]+:v?[0-9]+\.[0-9]+\.[0-9]+$`)

func TestEveryService(t *testing.T) {
	s := read(t)
	if want := []string{"alertmanager", "grafana", "nightporter", "prometheus"}; !slices.Equal(keys(s.Services), want) {
		t.Errorf("services: found %q, expected %q", keys(s.Services), want)
	}
	for name, service := range s.Services {
		if service.Image != own && !pinned.MatchString(service.Image) {
			t.Errorf("%s: image: found %q, expected a whole version", name, service.Image)
		}
		if h := service.Healthcheck; len(h.Test) < 2 || h.Test[0] != "CMD" || h.Interval == "" || h.Timeout == "" || h.StartPeriod == "" || h.Disable {
			t.Errorf("%s: healthcheck: found %+v, expected a command without a shell, and its times", name, h)
		}
		if service.Restart != "unless-stopped" {
			t.Errorf("%s: restart: found %q", name, service.Restart)
		}
		// The porter's capabilities are file capabilities, see TestImage.
		noGain := name == "nightporter" || slices.Equal(service.SecurityOpt, []string{"no-new-privileges:true"})
		if !slices.Equal(service.CapDrop, []string{"ALL"}) || !noGain {
			t.Errorf("%s keeps privileges: cap_drop %q, security_opt %q", name, service.CapDrop, service.SecurityOpt)
		}
		if service.Logging.Options["max-size"] == "" {
			t.Errorf("%s: nothing limits the size of its log", name)
		}
		for other := range service.DependsOn {
			if _, ok := s.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is no service", name, other)
			}
		}
	}
}

// TestMounts: mounted paths exist and are read-only, and every volume is declared and used.
func TestMounts(t *testing.T) {
	s := read(t)
	used := make(map[string]bool)
	for name, service := range s.Services {
		var targets []string
		for _, m := range service.mounts(t) {
			switch {
			case !m.bind:
				used[m.from] = true
				if _, declared := s.Volumes[m.from]; !declared || m.readOnly {
					t.Errorf("%s: volume %s is read-only or not declared", name, m.from)
				}
			case !m.readOnly:
				t.Errorf("%s can write to %s of the host", name, m.from)
			case m.from == "/etc/localtime": // a file of the host, not of the repository
			default:
				if info, err := os.Stat(m.from); err != nil || !info.IsDir() {
					t.Errorf("%s: %s: %v; expected a directory, whose files may be replaced", name, m.from, err)
				}
			}
			for _, other := range targets {
				if strings.HasPrefix(m.to+"/", other+"/") || strings.HasPrefix(other+"/", m.to+"/") {
					t.Errorf("%s: %s and %s are mounted one in the other", name, m.to, other)
				}
			}
			targets = append(targets, path.Clean(m.to))
		}
	}
	for name := range s.Volumes {
		if !used[name] {
			t.Errorf("the volume %s is not used", name)
		}
	}
}

var variable = regexp.MustCompile(`\$\{([A-Z_]+)`)

// TestVariables: .env.example has the variables of compose.yaml and no others.
func TestVariables(t *testing.T) {
	asked, given := make(map[string]bool), make(map[string]bool)
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range variable.FindAllStringSubmatch(string(text), -1) {
		asked[m[1]] = true
	}
	example, err := os.ReadFile(".env.example")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(example)) {
		if name, _, ok := strings.Cut(line, "="); ok && line[0] != '#' {
			given[name] = true
		}
	}
	if !slices.Equal(keys(asked), keys(given)) {
		t.Errorf("compose.yaml uses %q, .env.example has %q", keys(asked), keys(given))
	}
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
