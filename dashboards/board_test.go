package main

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommittedFilesAreCurrent(t *testing.T) {
	for name, b := range boards() {
		want, err := b.render()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := b.render()
		if err != nil || string(again) != string(want) {
			t.Errorf("%s: a second rendering differs, error %v", name, err)
		}
		if got, err := os.ReadFile(name); err != nil {
			t.Errorf("%v: run make dashboards", err)
		} else if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what the code says: run make dashboards\n%s", name, diff)
		}
	}
	here, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range here {
		if _, ok := boards()[f.Name()]; strings.HasSuffix(f.Name(), ".json") && !ok {
			t.Errorf("%s is no dashboard of the code", f.Name())
		}
	}
}

// Bookmarks and links from elsewhere go by these.
func TestUIDsStay(t *testing.T) {
	want := map[string]string{
		"overview.json": "nightporter-overview",
		"machine.json":  "nightporter-machine",
		"porter.json":   "nightporter-porter",
	}
	got := make(map[string]string)
	for _, name := range files() {
		got[name] = load(t, name).UID
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBoards(t *testing.T) {
	for _, name := range files() {
		m := load(t, name)
		if !strings.HasPrefix(m.Title, "nightporter / ") || m.Description == "" {
			t.Errorf("%s: title %q, description %q", name, m.Title, m.Description)
		}
		if !slices.Contains(m.Tags, "nightporter") {
			t.Errorf("%s: tags %q", name, m.Tags)
		}
		if m.Editable == nil || !*m.Editable {
			t.Errorf("%s: cannot be edited", name)
		}
		checkPublished(t, name, m)
		if m.Time.From == "" || m.Time.To != "now" || m.Refresh == "" || m.Timezone != "browser" {
			t.Errorf("%s: time %v, refresh %q, time zone %q", name, m.Time, m.Refresh, m.Timezone)
		}
	}
}

// checkPublished compares what a dashboard says that it needs with what it uses.
func checkPublished(t *testing.T, name string, m model) {
	t.Helper()
	if len(m.Inputs) != 1 || m.Inputs[0].Type != "datasource" || m.Inputs[0].PluginID != "prometheus" {
		t.Errorf("%s: asks for %+v, want a Prometheus", name, m.Inputs)
	}
	needs := map[string]bool{"grafana grafana": true, "datasource prometheus": true}
	for _, p := range m.panels() {
		needs["panel "+p.Type] = true
	}
	said := make(map[string]bool)
	for _, r := range m.Requires {
		said[r.Type+" "+r.ID] = true
		if r.Name == "" {
			t.Errorf("%s: %s %s has no name", name, r.Type, r.ID)
		}
	}
	if diff := cmp.Diff(needs, said); diff != "" {
		t.Errorf("%s: what it needs (-want +got):\n%s", name, diff)
	}
}

// The porter's dashboard begins with what a home needs. The rest is closed.
func TestDetailsAreClosed(t *testing.T) {
	open, closed := 0, 0
	for _, p := range load(t, "porter.json").Panels {
		switch {
		case p.Type != "row":
			open++
		case p.Collapsed != (len(p.Panels) > 0):
			t.Errorf("row %q is closed: %v, and has %d panels", p.Title, p.Collapsed, len(p.Panels))
		case p.Collapsed:
			closed++
		}
	}
	if open != 4 || closed == 0 {
		t.Errorf("%d panels are open and %d rows closed, want 4 and some", open, closed)
	}
}

func TestVariables(t *testing.T) {
	const instances = `label_values(nightporter_build_info{job=~"$job"}, instance)`
	const machines = `label_values(nightporter_machine_info{job=~"$job", instance=~"$instance"}, machine)`
	common := []variableModel{
		{Name: "datasource", Type: "datasource", Query: "prometheus"},
		{Name: "job", Type: "query", Query: "label_values(nightporter_build_info, job)", Multi: true},
		{Name: "instance", Type: "query", Query: instances, Multi: true},
	}
	for name, want := range map[string][]variableModel{
		"porter.json":  common,
		"machine.json": append(slices.Clone(common), variableModel{Name: "machine", Type: "query", Query: machines}),
		"overview.json": append(slices.Clone(common),
			variableModel{Name: "machine", Type: "query", Query: machines, Multi: true},
			variableModel{Name: "price", Type: "textbox", Query: "0.30"},
			variableModel{Name: "currency", Type: "textbox", Query: "€"}),
	} {
		var got []variableModel
		for _, v := range load(t, name).Templating.List {
			if v.Label == "" || v.Description == "" {
				t.Errorf("%s: %s has label %q and description %q", name, v.Name, v.Label, v.Description)
			}
			if v.Type == "query" && (v.Datasource == nil || v.Datasource.UID != "$datasource" || v.Refresh != 2) {
				t.Errorf("%s: %s has data source %v and refresh %d, want the chosen one and 2, when the time changes", name, v.Name, v.Datasource, v.Refresh)
			}
			if all := v.IncludeAll && v.AllValue == ".+" && v.Current.Value == "$__all"; all != v.Multi {
				t.Errorf("%s: %s takes several values: %v, all of them at first: %v", name, v.Name, v.Multi, all)
			}
			got = append(got, variableModel{Name: v.Name, Type: v.Type, Query: v.Query, Multi: v.Multi})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Every dashboard leads to the others with the time and the variables, and every
// link from a series or a row to a dashboard that there is.
func TestLinks(t *testing.T) {
	variables := make(map[string][]string) // by uid
	for _, name := range files() {
		m := load(t, name)
		for _, v := range m.Templating.List {
			variables[m.UID] = append(variables[m.UID], v.Name)
		}
	}
	reached := make(map[string]bool)
	for _, name := range files() {
		m := load(t, name)
		if len(m.Links) != 1 {
			t.Fatalf("%s: %d links, want one to all dashboards with the tag", name, len(m.Links))
		}
		if l := m.Links[0]; l.Type != "dashboards" || !slices.Equal(l.Tags, []string{"nightporter"}) || !l.KeepTime || !l.IncludeVars {
			t.Errorf("%s: %+v does not lead to the other dashboards with time and variables", name, l)
		}
		for _, p := range m.panels() {
			for _, l := range p.links(t) {
				reached[checkLink(t, name+", "+p.Title, l, variables)] = true
			}
		}
	}
	for _, uid := range []string{"nightporter-machine", "nightporter-porter", porterPage} {
		if !reached[uid] {
			t.Errorf("no row and no series leads to %s", uid)
		}
	}
}

// links are those of a panel's series and columns.
func (p panelModel) links(t *testing.T) []linkModel {
	t.Helper()
	links := slices.Clone(p.FieldConfig.Defaults.Links)
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if property.ID != "links" {
				continue
			}
			var of []linkModel
			if err := json.Unmarshal(property.Value, &of); err != nil {
				t.Fatalf("%s: %v", p.Title, err)
			}
			links = append(links, of...)
		}
	}
	return links
}

// porterPage stands for the page of a porter, where a link leads to no dashboard.
const porterPage = "the porter's page"

// checkLink looks at a link to a dashboard, and returns the uid of that.
func checkLink(t *testing.T, where string, l linkModel, variables map[string][]string) string {
	t.Helper()
	if regexp.MustCompile(`^http://\$\{__(data\.fields|field\.labels)\.instance\}/$`).MatchString(l.URL) && l.Title != "" && l.TargetBlank {
		return porterPage
	}
	u, err := url.Parse(l.URL)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	uid, ok := strings.CutPrefix(u.Path, "/d/")
	known, exists := variables[uid]
	if !ok || !exists || l.Title == "" {
		t.Errorf("%s: link %q leads to %q, which is no dashboard of ours", where, l.Title, l.URL)
	}
	for _, keep := range []string{"${datasource:queryparam}", "${job:queryparam}", "${__url_time_range}"} {
		if !strings.Contains(l.URL, keep) {
			t.Errorf("%s: link %q loses %s", where, l.Title, keep)
		}
	}
	for _, set := range regexp.MustCompile(`[?&]var-([a-z]+)=\$\{__(?:data\.fields|field\.labels)\.([a-z]+):percentencode\}`).FindAllStringSubmatch(l.URL, -1) {
		if set[1] != set[2] || !slices.Contains(known, set[1]) {
			t.Errorf("%s: link %q sets variable %s of %s to %s", where, l.Title, set[1], uid, set[2])
		}
	}
	if want := slices.Contains(known, "machine"); want != strings.Contains(l.URL, "&var-machine=") || !strings.Contains(l.URL, "&var-instance=") {
		t.Errorf("%s: link %q to %s does not say which: %s", where, l.Title, uid, l.URL)
	}
	return uid
}
