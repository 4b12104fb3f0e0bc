package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// column is one column of a table: a label that other columns' answers have, the
// values of an expression, or, with both, a label of that expression's answer
// whose values are not shown.
type column struct {
	title string
	label string
	expr  string
	looks []dashboard.DynamicConfigValue
}

// machineColumn names the machine of a row, and leads to its dashboard.
func machineColumn() column {
	return column{title: "Machine", label: "machine", looks: []dashboard.DynamicConfigValue{
		rowLink("Open the machine", machineUID, "instance", "machine")}}
}

// porterColumn names the porter of a row, and leads to its dashboard and its page.
func porterColumn() column {
	links := rowLink("Open the porter", porterUID, "instance")
	links.Value = append(links.Value.([]any), pageLink())
	return column{title: "Porter", label: "instance", looks: []dashboard.DynamicConfigValue{links}}
}

// tablePanel joins the answers of several expressions, row by row, by the labels
// that all of them have.
func tablePanel(title, description string, columns ...column) *table.PanelBuilder {
	p := table.NewPanelBuilder().
		Title(title).Description(description).Unit(units.Short).
		Datasource(datasource()).
		Span(24).Height(8).
		Thresholds(steps("text"))
	exprs := 0
	for _, c := range columns {
		if c.expr != "" {
			exprs++
		}
	}
	order, names, hidden := map[string]any{}, map[string]any{}, map[string]any{"Time": true}
	asked := 0
	for i, c := range columns {
		field := c.label
		if c.expr != "" {
			p.WithTarget(rows(c.expr).RefId(refID(asked)))
			values := "Value" // what Grafana calls the values of a table's only query
			if exprs > 1 {
				values = "Value #" + refID(asked)
			}
			asked++
			if c.label != "" {
				hidden[values] = true
			} else {
				field = values
			}
		}
		order[field], names[field] = i, c.title
		if len(c.looks) > 0 {
			p.OverrideByName(c.title, c.looks)
		}
	}
	return p.
		WithTransformation(dashboard.DataTransformerConfig{Id: "merge", Options: map[string]any{}}).
		WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{
			"excludeByName": hidden,
			"indexByName":   order,
			"renameByName":  names,
		}})
}

// sortBy is the order of a table at first.
func sortBy(title string, descending bool) []cog.Builder[common.TableSortByFieldState] {
	return []cog.Builder[common.TableSortByFieldState]{
		common.NewTableSortByFieldStateBuilder().DisplayName(title).Desc(descending),
	}
}

// in is a column's unit and number of decimals.
func in(unit string, decimals int) []dashboard.DynamicConfigValue {
	return []dashboard.DynamicConfigValue{{Id: "unit", Value: unit}, {Id: "decimals", Value: decimals}}
}

// coloured shows the values of a column by names, on their colours.
func coloured(names dashboard.ValueMapping) []dashboard.DynamicConfigValue {
	return []dashboard.DynamicConfigValue{
		{Id: "mappings", Value: []dashboard.ValueMapping{names}},
		{Id: "custom.cellOptions", Value: map[string]any{"type": "color-text"}},
	}
}

// alarming shows a column red from 1 on.
func alarming() []dashboard.DynamicConfigValue {
	return append(in(units.Short, 0),
		dashboard.DynamicConfigValue{Id: "thresholds", Value: map[string]any{
			"mode": "absolute",
			"steps": []any{
				map[string]any{"value": nil, "color": "text"},
				map[string]any{"value": 1, "color": "red"},
			},
		}},
		dashboard.DynamicConfigValue{Id: "custom.cellOptions", Value: map[string]any{"type": "color-text"}},
	)
}
