package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// Each kind of panel has its defaults here. A description says what is shown and
// when to worry.

// statPanel shows one value for each series of its queries.
func statPanel(title, description, unit string, targets ...*prometheus.DataqueryBuilder) *stat.PanelBuilder {
	p := stat.NewPanelBuilder().
		Title(title).Description(description).Unit(unit).
		Datasource(datasource()).
		Span(4).Height(4).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		GraphMode(common.BigValueGraphModeNone).
		ColorMode(common.BigValueColorModeValue).
		Mappings([]dashboard.ValueMapping{noNumber()}).
		Thresholds(steps("text"))
	for i, t := range targets {
		p.WithTarget(t.RefId(refID(i)))
	}
	return p
}

// linesPanel shows values over time.
func linesPanel(title, description, unit string, targets ...*prometheus.DataqueryBuilder) *timeseries.PanelBuilder {
	p := timeseries.NewPanelBuilder().
		Title(title).Description(description).Unit(unit).
		Datasource(datasource()).
		Span(12).Height(8).
		Min(0).
		LineWidth(1).FillOpacity(10).
		ShowPoints(common.VisibilityModeAuto).
		Legend(common.NewVizLegendOptionsBuilder().
			DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().
			Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Thresholds(steps("green"))
	for i, t := range targets {
		p.WithTarget(t.RefId(refID(i)))
	}
	return p
}

// eventsPanel counts what happens seldom, in stacked bars. A bar stands for five
// minutes at least: narrower ones would count the same event several times, as
// $__rate_interval spans four scrapes.
func eventsPanel(title, description string, targets ...*prometheus.DataqueryBuilder) *timeseries.PanelBuilder {
	return linesPanel(title, description, units.Short, targets...).
		Interval("5m").
		Decimals(0).
		DrawStyle(common.GraphDrawStyleBars).LineWidth(0).FillOpacity(80).
		Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
}

// quantilesPanel shows quantiles of what happens seldom: points, joined by lines
// where nothing happened between them.
func quantilesPanel(title, description string, targets ...*prometheus.DataqueryBuilder) *timeseries.PanelBuilder {
	joined := true
	return linesPanel(title, description, units.Seconds, targets...).
		ShowPoints(common.VisibilityModeAlways).FillOpacity(0).
		SpanNulls(common.BoolOrFloat64{Bool: &joined})
}

// notStacked lets the bars of an eventsPanel stand in front of each other, where
// their sum means nothing.
func notStacked() cog.Builder[common.StackingConfig] {
	return common.NewStackingConfigBuilder().Mode(common.StackingModeNone)
}

// heatmapPanel shows how often each duration occurred, over time.
func heatmapPanel(title, description, expr string) *heatmap.PanelBuilder {
	return heatmap.NewPanelBuilder().
		Title(title).Description(description).Unit(units.Seconds).
		Datasource(datasource()).
		Span(12).Height(8).
		Interval("5m").
		WithTarget(buckets(expr).RefId(refID(0))).
		Calculate(false).
		YAxis(heatmap.NewYAxisConfigBuilder().Unit(units.Seconds)).
		CellValues(heatmap.NewCellValuesBuilder().Unit(units.Short).Decimals(0)).
		Color(heatmap.NewHeatmapColorOptionsBuilder().
			Mode(heatmap.HeatmapColorModeScheme).Scheme("Blues").Exponent(0.5).Steps(64)).
		Tooltip(heatmap.NewHeatmapTooltipBuilder().Mode(common.TooltipDisplayModeSingle).ShowColorScale(true))
}

// timelinePanel shows one of a few values over time, as coloured bars.
func timelinePanel(title, description string, values dashboard.ValueMapping, targets ...*prometheus.DataqueryBuilder) *statetimeline.PanelBuilder {
	p := statetimeline.NewPanelBuilder().
		Title(title).Description(description).Unit(units.Short).
		Datasource(datasource()).
		Span(24).Height(8).
		Mappings([]dashboard.ValueMapping{values}).
		Thresholds(steps("text")).
		ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdThresholds)).
		MergeValues(true).
		ShowValue(common.VisibilityModeAuto).
		RowHeight(0.8).LineWidth(0).FillOpacity(80).
		PerPage(30).
		Legend(common.NewVizLegendOptionsBuilder().
			DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeSingle))
	for i, t := range targets {
		p.WithTarget(t.RefId(refID(i)))
	}
	return p
}

// sharesPanel compares shares of a whole, one bar each.
func sharesPanel(title, description string, target *prometheus.DataqueryBuilder) *bargauge.PanelBuilder {
	return bargauge.NewPanelBuilder().
		Title(title).Description(description).Unit(units.PercentUnit).
		Datasource(datasource()).
		Span(12).Height(8).
		Min(0).Max(1).Decimals(0).
		WithTarget(target.RefId(refID(0))).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		Orientation(common.VizOrientationHorizontal).
		DisplayMode(common.BarGaugeDisplayModeBasic)
}
