package main

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// promql completes an expression. It is written without the matchers that every
// selector has to have:
//
//	@porters   the porters that are chosen
//	@machines  the machines that are chosen, of those porters
//	@machine   the one machine that is chosen
//	@alive     how to keep series of the chosen porters only. With "All" chosen,
//	           the matchers of up and process_* would let every program pass that
//	           the same Prometheus watches.
//
// White space in it is for the reader of the code.
func promql(expr string) string {
	const porters = `job=~"$job", instance=~"$instance"`
	expr = strings.Join(strings.Fields(expr), " ")
	expr = strings.ReplaceAll(expr, "( ", "(")
	expr = strings.ReplaceAll(expr, " )", ")")
	return strings.NewReplacer(
		"@porters", porters,
		"@machines", porters+`, machine=~"$machine"`,
		"@machine", porters+`, machine="$machine"`,
		"@alive", `and on (job, instance) nightporter_build_info{`+porters+`}`,
	).Replace(expr)
}

// query asks for a line over time. The legend may name labels, as {{label}}.
func query(expr, legend string) *prometheus.DataqueryBuilder {
	return target(expr).Range().Format(prometheus.PromQueryFormatTimeSeries).LegendFormat(legend)
}

// total asks for one value, at the end of the selected time range. Only here may a range
// be $__range, the whole of it.
func total(expr, legend string) *prometheus.DataqueryBuilder {
	return target(expr).Instant().Format(prometheus.PromQueryFormatTimeSeries).LegendFormat(legend)
}

// buckets asks for the buckets of a classic histogram, by their upper bounds.
func buckets(expr string) *prometheus.DataqueryBuilder {
	return target(expr).Range().Format(prometheus.PromQueryFormatHeatmap).LegendFormat("{{le}}")
}

// rows asks for the rows of a table, at the end of the selected time range.
func rows(expr string) *prometheus.DataqueryBuilder {
	return target(expr).Instant().Format(prometheus.PromQueryFormatTable)
}

func target(expr string) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().
		Expr(promql(expr)).
		EditorMode(prometheus.QueryEditorModeCode).
		Datasource(datasource())
}

// refID names the i-th query of a panel: A, B, C.
func refID(i int) string { return string(rune('A' + i)) }
