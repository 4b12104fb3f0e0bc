package main

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// problem is something to look at. It is there from 1 on.
type problem struct{ name, expr string }

// problems are named in the words of the list in which they are shown.
func problems() []problem {
	return []problem{
		{"wake failed", `sum by (instance, machine) (increase(nightporter_machine_wake_failures_total{@machines}[$__range]))`},
		// Its counters are gone with it, as the alert for it says too.
		{"wake failed, and forgotten", `
			max by (instance, machine) (
				last_over_time(nightporter_machine_state{@machines, state="waking"}[$__range]) == 1
				unless on (job, instance, machine) nightporter_machine_state{@machines}
				and on (job, instance) up{@porters} == 1)`},
		{"service not ready in time", `
			sum by (instance, machine) (increase(nightporter_machine_boot_duration_seconds_count{@machines}[$__range]))
			- sum by (instance, machine) (increase(nightporter_machine_ready_duration_seconds_count{@machines}[$__range]))`},
		{"address used by another host", `sum by (instance, machine) (increase(nightporter_address_conflicts_total{@machines}[$__range]))`},
		{"did not fall asleep", `sum by (instance, machine) (increase(nightporter_machine_settle_timeouts_total{@machines}[$__range]))`},
		{"porter not ready", `sum by (instance) (1 - nightporter_ready{@porters})`},
		{"porter without its guard", `sum by (instance) (nightporter_guard_needed{@porters} > bool nightporter_guard_active{@porters})`},
		{"porter cannot store", `sum by (instance) (1 - nightporter_journal_healthy{@porters})`},
		{"configuration not reloaded", `sum by (instance) (1 - nightporter_config_last_reload_successful{@porters})`},
		{"porter down", `1 - ` + scraped},
	}
}

func problemList() panel {
	var terms []string
	for _, p := range problems() {
		terms = append(terms, `label_replace(`+p.expr+`, "problem", "`+p.name+`", "", "")`)
	}
	return tablePanel("Problems",
		"What went wrong with machines in the selected time range, and what is wrong with porters now. Investigate every line. "+
			"Times counts what happened to a machine; for a porter, 1 means now. The runbook of the alerts says what to do.",
		column{title: "Problem", label: "problem"},
		machineColumn(),
		porterColumn(),
		column{title: "Times", looks: alarming(), expr: `(` + strings.Join(terms, " or ") + `) >= 0.5`}). // increase() is no exact count
		Span(10).
		NoValue("No problems.").
		SortBy(sortBy("Times", true))
}

func lastWakes() panel {
	const mean = `sum by (instance, machine) (increase(nightporter_machine_@what_duration_seconds_sum{@machines}[$__range]))
		/ (sum by (instance, machine) (increase(nightporter_machine_@what_duration_seconds_count{@machines}[$__range])) > 0)`
	return tablePanel("Last wakes",
		"When each machine was last woken, how often in the selected time range, and how long its boots took on average: until its first "+
			"frame (boot), and until the services that were knocked at were ready (ready). With one wake in the selected time range, those "+
			"are its own figures. Investigate when boots grow slower. External starts are not wakes.",
		machineColumn(),
		porterColumn(),
		column{title: "State", looks: coloured(stateNames()), expr: stateNumber("@machines")},
		column{title: "Last wake", looks: in(units.DateTimeFromNow, 0),
			expr: `max by (instance, machine) (nightporter_machine_last_wake_timestamp_seconds{@machines} > 0) * 1000`},
		column{title: "Wakes", looks: in(units.Short, 0),
			expr: `sum by (instance, machine) (increase(nightporter_machine_wakes_total{@machines}[$__range]))`},
		column{title: "Failed", looks: alarming(),
			expr: `sum by (instance, machine) (increase(nightporter_machine_wake_failures_total{@machines}[$__range]))`},
		column{title: "Boot", looks: in(units.Seconds, 1), expr: strings.ReplaceAll(mean, "@what", "boot")},
		column{title: "Ready", looks: in(units.Seconds, 1), expr: strings.ReplaceAll(mean, "@what", "ready")}).
		Span(14).
		SortBy(sortBy("Last wake", true))
}
