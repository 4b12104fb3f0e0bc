package main

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// machine is about one machine: its sleep, its wakes, and how fast it boots.
func machine() board {
	return board{
		uid:   machineUID,
		title: "nightporter / Machine",
		description: "One machine: when it slept, what woke it, how long it took to boot and to be ready, and what happened to held packets. " +
			"Which client knocked at which service is in the event list: the porter's page, or nightporter events.",
		from:        "now-7d",
		variables:   append(porterVariables(), machineVariable()),
		annotations: machineEvents(),
		rows: []row{
			{"Now", []panel{
				stateNow().Span(3), stateSince(), lastWake(), hardware(),
				sleepShare("@machine").Span(3), timeAsleep().Span(3), energySaved("@machine").Span(3),
			}},
			{"Sleep", []panel{stateOverTime(), powerSaved("@machine"), problemsOverTime()}},
			{"Waking", []panel{
				counted("Wakes", "Wakes started in the selected time range. Investigate wakes without a known reason.",
					"nightporter_machine_wakes_total", steps("text")),
				counted("Failed wakes", "Wakes given up after the last magic packet, in the selected time range. Investigate each: the machine may be unplugged, or its Wake-on-LAN off.",
					"nightporter_machine_wake_failures_total", steps("green", step{1, "red"})),
				attemptsPerWake(),
				wakeQuantiles(),
				wakeHeatmap("Boot", "boot", "its first frame"),
				wakeHeatmap("Ready", "ready", "the readiness of the services that were knocked at"),
				quantilesOverTime(),
				attempts(),
			}},
			{"Knocks", []panel{startsByTrigger("@machine"), knocksByService(), suppressedKnocks("@machine"), heldPackets("@machine")}},
		},
	}
}

// machineEvents marks what happened to the machine, at the moment when it did.
func machineEvents() []annotation {
	return []annotation{
		{
			name: "Wakes", text: "{{machine}} is woken", color: "orange", timestamps: true,
			expr: `max by (machine) (nightporter_machine_last_wake_timestamp_seconds{@machine} > 0) * 1000`,
		},
		failedWakes("@machine"),
		{
			name: "External starts", text: "{{machine}} was started without nightporter", color: "green",
			expr: `sum by (machine) (increase(nightporter_machine_external_starts_total{@machine}[$__rate_interval])) > 0`,
		},
		{
			name: "State changes", text: "{{machine}} is {{state}}", color: "blue", timestamps: true, off: true,
			expr: `max by (machine, state) (
				(nightporter_machine_state{@machine} == 1)
				* on (job, instance, machine) group_left () nightporter_machine_state_changed_timestamp_seconds{@machine}
			) * 1000`,
		},
	}
}

func stateNow() *stat.PanelBuilder {
	return statPanel("State",
		"The state of the machine now. Investigate when it stays settling (it does not fall silent), waking or arriving.",
		units.Short,
		total(stateNumber("@machine"), "{{machine}} ({{instance}})")).
		Mappings([]dashboard.ValueMapping{stateNames()}).
		ColorMode(common.BigValueColorModeBackground).
		TextMode(common.BigValueTextModeValue).
		DataLinks([]link{toPorter(), toPage()})
}

func stateSince() panel {
	return statPanel("Since",
		"When the machine entered its state. Investigate when a machine that should sleep has been awake for days.",
		units.DateTimeFromNow,
		total(`max by (machine) (nightporter_machine_state_changed_timestamp_seconds{@machine}) * 1000`, "{{machine}}"))
}

func lastWake() panel {
	return statPanel("Last wake",
		"When the last wake of the machine began, whatever the result. Investigate when it is long ago although clients connect to it asleep.",
		units.DateTimeFromNow,
		total(`max by (machine) (nightporter_machine_last_wake_timestamp_seconds{@machine} > 0) * 1000`, "{{machine}}")).
		NoValue("never")
}

func hardware() panel {
	return statPanel("MAC address",
		"The network card that is woken. Investigate when it is not the machine's own: another machine has taken its name.",
		units.NoUnit,
		total(`max by (mac) (nightporter_machine_info{@machine})`, "{{mac}}")).
		TextMode(common.BigValueTextModeName)
}

func timeAsleep() *stat.PanelBuilder {
	return statPanel("Time asleep",
		"How long the machine slept in the selected time range, all sleeps together. It counts on while the porter is down. "+
			"Investigate when it is short after a quiet night.",
		units.Seconds,
		total(`sum(increase(nightporter_machine_sleep_seconds_total{@machine}[$__range]))`, "asleep")).
		Decimals(1)
}

func stateOverTime() panel {
	return timelinePanel("State over time",
		"The state of the machine over time. Investigate when it goes back and forth: something wakes it, or it does not stay asleep. "+
			"A gap means that its porter was not scraped.",
		stateNames(),
		query(stateNumber("@machine"), "{{machine}} ({{instance}})")).
		Height(5)
}

func problemsOverTime() panel {
	return eventsPanel("Problems over time",
		"What should not happen: another host used an address of the machine; the machine registered for sleep and went on answering for probe.timeout; "+
			"a wake failed. Investigate each, above all conflicts.",
		query(`sum(increase(nightporter_address_conflicts_total{@machine}[$__rate_interval]))`, "address conflicts"),
		query(`sum(increase(nightporter_machine_settle_timeouts_total{@machine}[$__rate_interval]))`, "did not fall asleep"),
		query(`sum(increase(nightporter_machine_wake_failures_total{@machine}[$__rate_interval]))`, "failed wakes"))
}

// counted shows how often something happened in the selected time range.
func counted(title, description, metric string, limits thresholds) *stat.PanelBuilder {
	return statPanel(title, description, units.Short,
		total(`sum(increase(`+metric+`{@machine}[$__range]))`, strings.ToLower(title))).
		Decimals(0).
		Thresholds(limits)
}

func attemptsPerWake() panel {
	return statPanel("Magic packets per wake",
		"How many rounds of magic packets a wake took, on average over the selected time range. One comes at once and one more each wake.interval until the machine answers, "+
			"so a slow boot takes some. Investigate when it comes near wake.attempts: the next boot that is a little slower fails.",
		units.Short,
		total(`
			sum(increase(nightporter_machine_wake_attempts_total{@machine}[$__range]))
			/ sum(increase(nightporter_machine_wakes_total{@machine}[$__range]))`, "per wake")).
		Decimals(1).
		Thresholds(steps("green", step{4, "yellow"}, step{5, "orange"}))
}

// wakeDurations are the two latencies of a wake.
func wakeDurations() []string { return []string{"boot", "ready"} }

func quantile(q float64, what, machines, over string) string {
	return fmt.Sprintf(`histogram_quantile(%v, sum by (le) (rate(nightporter_machine_%s_duration_seconds_bucket{%s}[%s])))`, q, what, machines, over)
}

// bothQuantiles asks for the median and the 90 % quantile of both durations of a wake.
func bothQuantiles(ask func(expr, legend string) *prometheus.DataqueryBuilder, over string) (targets []*prometheus.DataqueryBuilder) {
	for _, what := range wakeDurations() {
		targets = append(targets,
			ask(quantile(0.5, what, "@machine", over), what+", median"),
			ask(quantile(0.9, what, "@machine", over), what+", 90 %"))
	}
	return targets
}

func wakeQuantiles() panel {
	return statPanel("Boot and ready",
		"Time from the first magic packet to the machine's first frame (boot) and to the readiness of its services (ready), over the selected time range. "+
			"Investigate when clients give up before it is ready: many wait 30 s.",
		units.Seconds, bothQuantiles(total, "$__range")...).
		Span(12).
		Decimals(1).
		Thresholds(steps("green", step{30, "yellow"}, step{60, "orange"}))
}

func wakeHeatmap(title, what, until string) panel {
	return heatmapPanel(title+" durations",
		"How long wakes took from the first magic packet to "+until+". Each cell is a number of wakes. "+
			"Investigate when the cells climb: boots grow slower.",
		`sum by (le) (increase(nightporter_machine_`+what+`_duration_seconds_bucket{@machine}[$__rate_interval]))`)
}

func quantilesOverTime() panel {
	return quantilesPanel("Boot and ready, over time",
		"Median and 90 % quantile of both times. A point stands for the wakes around it; most often that is one, and quantiles of one are "+
			"as coarse as the buckets. Investigate when a machine that booted fast no longer does.",
		bothQuantiles(query, "$__rate_interval")...).
		Interval("5m")
}

func attempts() panel {
	return eventsPanel("Wakes and magic packets",
		"Wakes started and magic packets sent. Investigate many more packets than wakes: the machine ignores some packets or boots slowly.",
		query(`sum(increase(nightporter_machine_wakes_total{@machine}[$__rate_interval]))`, "wakes"),
		query(`sum(increase(nightporter_machine_wake_attempts_total{@machine}[$__rate_interval]))`, "magic packets")).
		Stacking(notStacked())
}
