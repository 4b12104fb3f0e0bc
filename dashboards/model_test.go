package main

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
)

// model is a dashboard as Grafana reads it, as far as the tests look into it. It
// is read from the files, not from the builders that wrote them.
type model struct {
	UID, Title, Description, Refresh, Timezone string

	Editable   *bool
	Tags       []string
	Time       struct{ From, To string }
	Templating struct{ List []variableModel }

	Inputs   []struct{ Name, Type, PluginID string } `json:"__inputs"`
	Requires []struct{ Type, ID, Name string }       `json:"__requires"`

	Annotations struct{ List []annotationModel }
	Links       []linkModel
	Panels      []panelModel
}

type variableModel struct {
	Name, Label, Description, Type, Query, AllValue string

	Datasource        *source
	IncludeAll, Multi bool
	Refresh           int
	Current           struct{ Text, Value string }
}

type source struct{ Type, UID string }

type linkModel struct {
	Title, Type, URL      string
	Tags                  []string
	KeepTime, IncludeVars bool
	TargetBlank           bool
}

type annotationModel struct {
	Name, IconColor, TextFormat string
	Datasource                  *source
	Target                      targetModel
	UseValueForTime             bool
}

type targetModel struct {
	RefID, Expr, LegendFormat, Format string

	Datasource     *source
	Instant, Range bool
}

type panelModel struct {
	ID                       int
	Type, Title, Description string
	Collapsed                bool
	Panels                   []panelModel // of a closed row
	Datasource               *source
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []targetModel
	Transformations          []struct {
		ID      string
		Options struct{ RenameByName map[string]string }
	}
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []json.RawMessage }
			Links      []linkModel
		}
		Overrides []struct {
			Matcher    struct{ Options any }
			Properties []struct {
				ID    string
				Value json.RawMessage
			}
		}
	}
}

// files are the names of the committed dashboards, in order.
func files() []string { return slices.Sorted(maps.Keys(boards())) }

// load reads a committed dashboard.
func load(t *testing.T, name string) model {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var m model
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return m
}

// panels are the panels that show something: all but the titles of rows.
func (m model) panels() []panelModel {
	return slices.DeleteFunc(m.all(), func(p panelModel) bool { return p.Type == "row" })
}

// all are all panels, those of closed rows and the titles of rows among them.
func (m model) all() (all []panelModel) {
	for _, p := range m.Panels {
		all = append(append(all, p), p.Panels...)
	}
	return all
}
