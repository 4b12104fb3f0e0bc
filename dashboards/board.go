package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// board is a dashboard before it is laid out.
type board struct {
	uid, title, description string
	from                    string // the time shown at first begins here, and ends now
	variables               []variable
	annotations             []annotation
	rows                    []row
	details                 []row // below the others, closed until they are opened
}

// row is a line of panels under a title. More panels than fit begin a new line.
type row struct {
	title  string
	panels []panel
}

// render returns the JSON that Grafana imports. The same board gives the same
// bytes.
func (b board) render() ([]byte, error) {
	d, err := b.build()
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	var model map[string]any
	if err := json.Unmarshal(raw, &model); err != nil {
		return nil, err
	}
	if err := complete(model, b.annotations); err != nil {
		return nil, err
	}
	publish(model, d.Panels)
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // PromQL is full of > and &
	enc.SetIndent("", "  ")
	if err := enc.Encode(model); err != nil { // sorts the keys
		return nil, err
	}
	return text.Bytes(), nil
}

func (b board) build() (dashboard.Dashboard, error) {
	builder := dashboard.NewDashboardBuilder(b.title).
		Uid(b.uid).
		Description(b.description).
		Tags([]string{tag}).
		Editable().
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Timezone("browser").
		Time(b.from, "now").
		Refresh("1m").
		Variables(b.variables).
		Link(siblings())
	for _, a := range b.annotations {
		builder.Annotation(a.builder())
	}
	d, err := builder.Build()
	if err != nil {
		return d, err
	}
	d.Panels, err = layOut(b.rows, b.details)
	return d, err
}

// The grid of a dashboard is this wide, in Grafana's own units.
const gridWidth = 24

// layOut places panels from left to right and from top to bottom. Links to a
// panel go by its id, so the ids count within a row: a new panel changes no id
// in any other row. The panels of a closed row are kept in it, and take no place.
func layOut(rows, closed []row) ([]dashboard.PanelOrRowPanel, error) {
	var laid []dashboard.PanelOrRowPanel
	y := uint32(0)
	for i, r := range append(slices.Clone(rows), closed...) {
		id := uint32(100 * (i + 1))
		title, err := dashboard.NewRowBuilder(r.title).Id(id).
			GridPos(dashboard.GridPos{X: 0, Y: y, W: gridWidth, H: 1}).Build()
		if err != nil {
			return nil, err
		}
		y++
		panels, height, err := r.place(id, y)
		if err != nil {
			return nil, err
		}
		laid = append(laid, dashboard.PanelOrRowPanel{RowPanel: &title})
		if i >= len(rows) {
			title.Collapsed, title.Panels = true, panels
			continue
		}
		for _, p := range panels {
			laid = append(laid, dashboard.PanelOrRowPanel{Panel: &p})
		}
		y += height
	}
	return laid, nil
}

// place returns the panels of a row whose title has an id, from the height y on, and
// how high they are together.
func (r row) place(id, y uint32) (placed []dashboard.Panel, height uint32, err error) {
	top := y
	x, tallest := uint32(0), uint32(0)
	for _, builder := range r.panels {
		p, err := builder.Build()
		if err != nil {
			return nil, 0, fmt.Errorf("row %q: %w", r.title, err)
		}
		if x+p.GridPos.W > gridWidth {
			x, y, tallest = 0, y+tallest, 0
		}
		p.GridPos.X, p.GridPos.Y = x, y
		x, tallest = x+p.GridPos.W, max(tallest, p.GridPos.H)
		id++
		p.Id = &[]uint32{id}[0]
		placed = append(placed, p)
	}
	return placed, y + tallest - top, nil
}
