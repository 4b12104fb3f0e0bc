package web_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"mime"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// object is a mapping of the description, as JSON has it.
type object = map[string]any

// described is the description of the API that the server serves.
type described struct {
	t    *testing.T
	root object
}

func describedBy(t *testing.T) *described {
	t.Helper()
	w := ask(t, new(fakeBackend), "GET", "/api/v1/openapi.yaml")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/yaml" {
		t.Fatalf("status %d, %q", w.Code, w.Header().Get("Content-Type"))
	}
	var doc any
	if err := yaml.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	d := &described{t: t}
	if err := json.Unmarshal(b, &d.root); err != nil {
		t.Fatal(err)
	}
	return d
}

// resolve follows references.
func (d *described) resolve(v any) object {
	d.t.Helper()
	o, ok := v.(object)
	if !ok {
		d.t.Fatalf("%v is no object", v)
	}
	ref, ok := o["$ref"].(string)
	if !ok {
		return o
	}
	found := any(d.root)
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		next, _ := found.(object)
		if found, ok = next[part]; !ok {
			d.t.Fatalf("%s leads nowhere", ref)
		}
	}
	return d.resolve(found)
}

// operations returns every operation by its route, as in "GET /metrics".
func (d *described) operations() map[string]object {
	all := make(map[string]object)
	for path, item := range d.root["paths"].(object) {
		for method, op := range item.(object) {
			if method != "parameters" {
				all[strings.ToUpper(method)+" "+path] = op.(object)
			}
		}
	}
	return all
}

// Every route that is no page or part of one is described, and all that is
// described is there.
func TestDescriptionHasEveryRoute(t *testing.T) {
	served, err := newServer(t, options(new(fakeBackend))).Routes()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, route := range served {
		_, p, _ := strings.Cut(route, " ")
		isPage := p == "/" || path.Ext(p) != "" && !strings.HasPrefix(p, "/api/")
		if !isPage && route != "/api/" { // which is for all that is not there
			want = append(want, route)
		}
	}
	slices.Sort(want)
	got := slices.Sorted(maps.Keys(describedBy(t).operations()))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("described (-served +described):\n%s", diff)
	}
}

func TestDescriptionIsComplete(t *testing.T) {
	d := describedBy(t)
	ids := make(map[any]string)
	for route, op := range d.operations() {
		id := op["operationId"]
		if other, taken := ids[id]; taken || id == nil || op["summary"] == nil || op["tags"] == nil {
			t.Errorf("%s: operationId %v (also of %q), summary %v, tags %v", route, id, other, op["summary"], op["tags"])
		}
		ids[id] = route
		_, p, _ := strings.Cut(route, " ")
		params, _ := d.root["paths"].(object)[p].(object)["parameters"].([]any)
		inPath := slices.ContainsFunc(params, func(v any) bool { return d.resolve(v)["in"] == "path" })
		if inPath != strings.Contains(p, "{name}") {
			t.Errorf("%s: parameters in the path are described: %v", route, inPath)
		}
		if method, _, _ := strings.Cut(route, " "); (op["security"] != nil) != (method != "GET") {
			t.Errorf("%s: security %v", route, op["security"])
		}
	}
	empty(t, d.root, "")
	text, err := json.Marshal(d.root)
	if err != nil {
		t.Fatal(err)
	}
	for kind, all := range d.root["components"].(object) {
		for name := range all.(object) {
			if kind != "securitySchemes" && !bytes.Contains(text, []byte(`"#/components/`+kind+`/`+name+`"`)) {
				t.Errorf("nothing refers to %s/%s", kind, name)
			}
		}
	}
}

// empty reports keys without a value: that is what YAML makes of the rest of a
// sentence after a comma.
func empty(t *testing.T, v any, at string) {
	t.Helper()
	switch v := v.(type) {
	case nil:
		t.Errorf("%s has no value", at)
	case object:
		for name, below := range v {
			empty(t, below, at+"/"+name)
		}
	case []any:
		for _, below := range v {
			empty(t, below, at+"[]")
		}
	}
}

// schemas compiles the description's schemas. They are made strict: a field that
// is not described is an error here, and none for clients.
func (d *described) schemas() *jsonschema.Compiler {
	d.t.Helper()
	var seal func(any)
	seal = func(v any) {
		switch v := v.(type) {
		case object:
			if _, ok := v["properties"].(object); ok {
				v["additionalProperties"] = false
			}
			for _, below := range v {
				seal(below)
			}
		case []any:
			for _, below := range v {
				seal(below)
			}
		}
	}
	seal(d.root["components"].(object)["schemas"])
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("openapi.json", d.root); err != nil {
		d.t.Fatal(err)
	}
	return c
}

// bodyOf returns the schema of an answer of JSON, which is nil for another, and
// reports an answer that is not described.
func (d *described) bodyOf(op object, status, contentType string) object {
	d.t.Helper()
	answer, ok := op["responses"].(object)[status]
	if !ok {
		d.t.Errorf("%s: status %s is not described", op["operationId"], status)
		return nil
	}
	content, _ := d.resolve(answer)["content"].(object)
	mediaType, _, _ := mime.ParseMediaType(contentType)
	if content == nil && contentType == "" {
		return nil
	}
	media, ok := content[mediaType].(object)
	if !ok {
		d.t.Errorf("%s: status %s with %q is not described", op["operationId"], status, contentType)
		return nil
	}
	if mediaType != "application/json" {
		return nil
	}
	return media["schema"].(object)
}

// fields adds the path of each field that a schema has, or with a value each that
// the value has, too.
func (d *described) fields(into map[string]bool, schema any, at string, value any, declared bool) {
	s := d.resolve(schema)
	if ref, ok := schema.(object)["$ref"].(string); ok {
		at = strings.TrimPrefix(ref, "#/components/schemas/")
	}
	if items, ok := s["items"]; ok {
		list, _ := value.([]any)
		if declared {
			list = []any{nil}
		}
		for _, v := range list {
			d.fields(into, items, at+"[]", v, declared)
		}
	}
	properties, _ := s["properties"].(object)
	for name, property := range properties {
		have, _ := value.(object)
		v, ok := have[name]
		if ok || declared {
			into[at+"."+name] = true
			d.fields(into, property, at+"."+name, v, declared)
		}
	}
}
