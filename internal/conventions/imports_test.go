package conventions

import (
	"go/ast"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// pure are the packages that decide and compute. They do no I/O and have no clock: time comes in
// with each call.
var pure = []string{"ether", "machine", "roff", "shell", "timerqueue", "wakefilter", "yamlerror"}

// doesIO are packages that read or write outside of the process, or start goroutines that do.
var doesIO = []string{"context", "io/fs", "io/ioutil", "log", "log/slog", "net/http", "os", "os/exec", "os/signal", "os/user", "path/filepath", "runtime", "syscall"}

// A pure package reaches nothing that does I/O, and reads no clock.
func TestPurePackages(t *testing.T) {
	all := packages(t)
	for _, name := range pure {
		for _, reached := range reach(all, name) {
			if !slices.Contains(pure, reached) {
				t.Errorf("internal/%s reaches internal/%s, expected one of %q only", name, reached, pure)
			}
		}
	}
	for _, f := range moduleTree(t) {
		name := strings.TrimPrefix(f.folder(), "internal/")
		if f.isTest() || !slices.Contains(pure, name) {
			continue
		}
		for _, i := range f.imports() {
			if slices.Contains(doesIO, i) || strings.HasPrefix(i, "golang.org/x/sys/") || strings.HasPrefix(i, "github.com/") {
				t.Errorf("%s: found the import of %s, expected none that does I/O", f.path, i)
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && isCall(s) {
				t.Errorf("%s: found %s.%s, expected time to come in by an argument, and no socket", positions.Position(s.Pos()), s.X, s.Sel.Name)
			}
			return true
		})
	}
}

// isCall reports whether a selector is a function that reads the clock, waits, or opens a socket.
func isCall(s *ast.SelectorExpr) bool {
	from, ok := s.X.(*ast.Ident)
	if !ok {
		return false
	}
	switch from.Name {
	case "time":
		return slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}, s.Sel.Name)
	case "net":
		return strings.HasPrefix(s.Sel.Name, "Dial") || strings.HasPrefix(s.Sel.Name, "Listen") || strings.HasPrefix(s.Sel.Name, "Lookup") || strings.HasPrefix(s.Sel.Name, "Interface")
	}
	return false
}

// helpers are packages that know nothing about this program.
var helpers = []string{"ether", "netns", "shell", "wait"}

// What knows the network and its machines knows neither the daemon nor what it is for: beside
// helpers each reaches these packages and no others.
func TestLowerPackages(t *testing.T) {
	all := packages(t)
	for name, may := range map[string][]string{
		"ether":       nil,
		"netns":       nil,
		"shell":       nil,
		"wait":        nil,
		"lan":         nil,
		"lantest":     {"lan", "machine"},
		"lab":         nil,
		"lab/labtest": {"lab"},
		"vm":          {"lab"},
		"vm/vmtest":   {"lab", "vm"},
		"logtest":     {"waittest"},
	} {
		if _, ok := all["internal/"+name]; !ok {
			t.Errorf("there is no package internal/%s", name)
		}
		for _, reached := range reach(all, name) {
			if !slices.Contains(may, reached) && !slices.Contains(helpers, reached) {
				t.Errorf("internal/%s reaches internal/%s, expected %q and %q only", name, reached, may, helpers)
			}
		}
	}
}

// The program can read its configuration without the parts that use it.
func TestConfigurationPackage(t *testing.T) {
	for _, reached := range reach(packages(t), "config") {
		if slices.Contains([]string{"notify", "porter", "registration", "web", "fastpath", "lan", "metrics"}, reached) {
			t.Errorf("internal/config reaches internal/%s", reached)
		}
	}
}

// The packages at the top are imported by the one above alone.
func TestTopPackages(t *testing.T) {
	for folder, imports := range packages(t) {
		for name, user := range map[string]string{"porter": "internal/daemon", "daemon": "internal/cli", "cli": "cmd/nightporter"} {
			if slices.Contains(imports, name) && folder != user {
				t.Errorf("%s imports internal/%s, expected %s only", folder, name, user)
			}
		}
	}
}

// maxImports is how many packages of this module one package may import.
const maxImports = 10

// Only the event loop, the process and the commands know all parts.
func TestImportCounts(t *testing.T) {
	for folder, imports := range packages(t) {
		switch folder {
		case "internal/porter", "internal/daemon", "internal/cli":
			continue
		}
		if n := len(imports); n > maxImports {
			t.Errorf("%s imports %d packages of this module, expected at most %d: %q", folder, n, maxImports, imports)
		}
	}
}

// The program has no code of the lab, of the demo and of tests.
func TestProgramPackages(t *testing.T) {
	for _, name := range reach(packages(t), "../cmd/nightporter") {
		if strings.HasSuffix(name, "test") || slices.Contains([]string{"demo", "lab", "labdaemon", "vm", "guide"}, name) {
			t.Errorf("cmd/nightporter reaches internal/%s", name)
		}
	}
}

// Libraries of weight have one user.
func TestLibraryUsers(t *testing.T) {
	users := map[string][]string{
		"github.com/nicholas-fedor/shoutrrr":        {"internal/notify"},
		"github.com/google/nftables":                {"internal/guard", "internal/lab"},
		"github.com/knadh/koanf":                    {"internal/config"},
		"github.com/prometheus/exporter-toolkit":    {"internal/web"},
		"github.com/coreos/go-systemd":              {"internal/daemon"},
		"github.com/spf13/cobra":                    {"internal/cli"},
		"github.com/mdlayher/packet":                {"internal/lan", "internal/lab"},
		"github.com/google/renameio":                {"internal/journal"},
		"kernel.org/pub/linux/libs/security/libcap": {"internal/privilege"},
	}
	for _, f := range moduleTree(t) {
		for _, i := range f.imports() {
			for library, folders := range users {
				if strings.HasPrefix(i, library) && !f.isTest() && !slices.Contains(folders, f.folder()) {
					t.Errorf("%s imports %s, expected %q only", f.path, i, folders)
				}
			}
		}
	}
}

// reach returns all packages that a package imports, itself or by others, without "internal/".
func reach(all map[string][]string, name string) []string {
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		for _, i := range all[path.Join("internal", name)] {
			if !seen[i] {
				seen[i] = true
				visit(i)
			}
		}
	}
	visit(name)
	return slices.Sorted(maps.Keys(seen))
}
