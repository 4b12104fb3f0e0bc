package conventions

import (
	"go/ast"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// kinds are the kinds of events: the constants of that type in internal/journal.
func kinds(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, f := range codeOf(t, "internal/journal") {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			lit, isText := spec.Values[0].(*ast.BasicLit)
			if of, isName := spec.Type.(*ast.Ident); isName && of.Name == "Kind" && isText {
				all = append(all, strings.Trim(lit.Value, `"`))
			}
			return true
		})
	}
	return all
}

// The list of events has every kind and no other, and what is called an event elsewhere is one.
func TestDocsEvents(t *testing.T) {
	known := kinds(t)
	if len(known) < 20 {
		t.Fatalf("found only the kinds %q", known)
	}
	var listed []string
	for _, p := range pages(t) {
		prose := p.prose()
		if p.path == "docs/api.md" {
			_, section, _ := strings.Cut(prose, "\n## Events\n")
			section, _, _ = strings.Cut(section, "\n## ")
			for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(section, -1) {
				for _, span := range codeSpan.FindAllString(row[1], -1) {
					listed = append(listed, strings.Trim(span, "`"))
				}
			}
		}
		if p.path == "CHANGELOG.md" {
			continue
		}
		for _, m := range regexp.MustCompile("\\bevents? `([a-z_]+)`").FindAllStringSubmatchIndex(prose, -1) {
			if name := prose[m[2]:m[3]]; !slices.Contains(known, name) {
				t.Errorf("%s:%d: there is no kind of event %q", p.path, at(prose, m[0]), name)
			}
		}
	}
	for _, kind := range known {
		if !slices.Contains(listed, kind) {
			t.Errorf("docs/api.md does not list the event %q", kind)
		}
	}
	for _, kind := range listed {
		if !slices.Contains(known, kind) {
			t.Errorf("docs/api.md lists the event %q, which does not exist", kind)
		}
	}
}

// Every path of the API that the pages name is in its description, and every one of these
// is in docs/api.md.
func TestDocsAPI(t *testing.T) {
	var description struct{ Paths map[string]any }
	if err := yaml.Unmarshal([]byte(source(t, "internal/web/openapi.yaml")), &description); err != nil {
		t.Fatal(err)
	}
	known := map[string]*regexp.Regexp{}
	for path := range description.Paths {
		known[path] = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(path), `\{name\}`, "[^/]+") + "$")
	}
	described := map[string]bool{}
	for _, m := range mentions(t) {
		for _, path := range regexp.MustCompile(`/api/v1[\w{}./-]*|/-/\w+`).FindAllString(m.text, -1) {
			path = strings.TrimRight(path, "./")
			if !slices.ContainsFunc(slices.Collect(maps.Values(known)), func(r *regexp.Regexp) bool { return r.MatchString(path) }) {
				t.Errorf("%s:%d: the API has no path %s", m.page, m.line, path)
			}
			described[m.page+" "+path] = true
		}
	}
	for path := range known {
		if strings.HasPrefix(path, "/api/") && !described["docs/api.md "+path] {
			t.Errorf("docs/api.md does not describe %s", path)
		}
	}
}
