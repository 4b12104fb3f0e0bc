package main

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// porter is about the daemon itself: whether it does its work, how fast, and what
// that takes.
func porter() board {
	return board{
		uid:   porterUID,
		title: "nightporter / Porter",
		description: "The porters themselves: whether they do their work, how fast they wake, what they say on the LAN, " +
			"whom they let register, and what they need of their hosts.",
		from:      "now-24h",
		variables: porterVariables(),
		annotations: []annotation{{
			name: "Restarts", text: "{{instance}} started", color: "purple", timestamps: true,
			expr: `max by (instance) (process_start_time_seconds{@porters} @alive) * 1000`,
		}},
		rows: []row{
			{"Health", []panel{porters(), healthOverTime(), latency(), registrations()}},
		},
		details: []row{
			{"Details: waking", []panel{latencyByPorter(), latencyOverTime(), latencyHeatmap()}},
			{"Details: LAN", []panel{neighborReplies(), conflicts(), captureDrops(), framesRejected(), heldByPorter()}},
			{"Details: notifications and machines", []panel{notifications(), machinesKnown()}},
			{"Details: configuration and resources", append([]panel{configured()}, resources()...)},
		},
	}
}

func porters() panel {
	yes := coloured(values(shown{"no", "red"}, shown{"yes", "green"}))
	return tablePanel("Porters",
		"Each porter: its version, whether its scrape works (up), whether it does its work on every interface (ready), whether its kernel is silent "+
			"about claimed addresses where that is needed (guarded), whether it can store (stores), whether the last reload of its configuration "+
			"succeeded (reloaded), when it started, and how many machines it knows. Investigate every no.",
		column{title: "Porter", label: "instance", looks: pageLinks()},
		column{title: "Version", label: "version", expr: `max by (instance, version) (nightporter_build_info{@porters})`},
		column{title: "Up", looks: yes, expr: scraped},
		column{title: "Ready", looks: yes, expr: `max by (instance) (nightporter_ready{@porters})`},
		column{title: "Guarded", looks: yes, expr: guarded},
		column{title: "Stores", looks: yes, expr: `max by (instance) (nightporter_journal_healthy{@porters})`},
		column{title: "Reloaded", looks: yes, expr: `max by (instance) (nightporter_config_last_reload_successful{@porters})`},
		column{title: "Started", looks: in(units.DateTimeFromNow, 0),
			expr: `max by (instance) (process_start_time_seconds{@porters} @alive) * 1000`},
		column{title: "Machines", looks: in(units.Short, 0), expr: `count by (instance) (nightporter_machine_info{@porters})`}).
		Height(6)
}

// scraped is 1 for a porter whose last scrape worked. A porter is what exported
// nightporter_build_info in the selected time range: one that is down exports nothing.
const scraped = `max by (instance) (up{@porters} and on (job, instance) last_over_time(nightporter_build_info{@porters}[$__range]))`

// guarded is 1 for a porter whose kernel is silent about claimed addresses: the
// guard is active, or there is no need of one.
const guarded = `max by (instance) (nightporter_guard_active{@porters} >= bool nightporter_guard_needed{@porters})`

func healthOverTime() panel {
	return timelinePanel("Health over time",
		"Whether each porter could be scraped, was ready, had the guard that it needs, and could store, over time. Investigate red. "+
			"A gap means that there is no answer: the scrape failed.",
		values(shown{"no", "red"}, shown{"yes", "green"}),
		query(scraped, "{{instance}} up"),
		query(`max by (instance) (nightporter_ready{@porters})`, "{{instance}} ready"),
		query(guarded, "{{instance}} guarded"),
		query(`max by (instance) (nightporter_journal_healthy{@porters})`, "{{instance}} stores")).
		ShowValue(common.VisibilityModeNever).
		Height(8)
}

const latencyMeaning = "from a knock's arrival in the kernel to the handing over of the magic packet. " +
	"Expect a median of 0.1 ms and a 99 % quantile of 1 ms. "

// latencyQuantile takes a quantile of the chosen porters together, or of each of
// them with by "instance, le".
func latencyQuantile(q float64, by, over string) string {
	return fmt.Sprintf(`histogram_quantile(%v, sum by (%s) (rate(nightporter_wake_latency_seconds_bucket{@porters}[%s])))`, q, by, over)
}

func latency() panel {
	return statPanel("Wake latency",
		"Median and 99 % quantile of the time "+latencyMeaning+"Over the selected time range. Investigate seconds: the host is overloaded.",
		units.Seconds,
		total(latencyQuantile(0.5, "le", "$__range"), "median"),
		total(latencyQuantile(0.99, "le", "$__range"), "99 %")).
		Span(12).Height(8).
		Thresholds(latencyLimits())
}

func latencyLimits() thresholds {
	return steps("green", step{0.01, "yellow"}, step{0.25, "orange"})
}

func latencyByPorter() panel {
	return statPanel("Wake latency by porter, 99 %",
		"The 99 % quantile of each porter over the selected time range, "+latencyMeaning+"Investigate one that is far from the others.",
		units.Seconds,
		total(latencyQuantile(0.99, "instance, le", "$__range"), "{{instance}}")).
		Span(12).
		Thresholds(latencyLimits())
}

func latencyOverTime() panel {
	return quantilesPanel("Wake latency, over time",
		"Quantiles of the time "+latencyMeaning+"A point stands for the knocks around it, and is as coarse as the buckets. Investigate when it climbs.",
		query(latencyQuantile(0.5, "le", "$__rate_interval"), "median"),
		query(latencyQuantile(0.99, "le", "$__rate_interval"), "99 %")).
		Interval("5m")
}

func latencyHeatmap() panel {
	return heatmapPanel("Wake latencies",
		"Each cell is a number of wakes, by the time "+latencyMeaning+"Investigate when cells fill above 10 ms.",
		`sum by (le) (increase(nightporter_wake_latency_seconds_bucket{@porters}[$__rate_interval]))`)
}

func neighborReplies() panel {
	return linesPanel("Neighbor replies",
		"ARP and NDP answers given for sleeping machines. Routers and neighbors ask all day, so some are normal. "+
			"Investigate when there are none while machines sleep, since then no client reaches them, and when there are hundreds a second: something scans the network.",
		units.PacketsPerSecond,
		query(`sum by (protocol) (rate(nightporter_neighbor_replies_total{@porters}[$__rate_interval]))`, "{{protocol}}"))
}

func conflicts() panel {
	return eventsPanel("Address conflicts",
		"Times that another host was found to use the address of a machine, to which the porter then concedes it. "+
			"Investigate each: an address is given twice, or two porters have the same machine.",
		query(`sum by (instance) (increase(nightporter_address_conflicts_total{@porters}[$__rate_interval]))`, "{{instance}}"))
}

func captureDrops() panel {
	return linesPanel("Capture drops",
		"Packets that the kernel dropped because the porter did not read them in time, by interface. "+
			"Investigate any that last: a knock may have been among them.",
		units.PacketsPerSecond,
		query(`sum by (instance, interface) (rate(nightporter_capture_drops_total{@porters}[$__rate_interval]))`, "{{interface}} of {{instance}}"))
}

func framesRejected() panel {
	return linesPanel("Frames rejected",
		"Frames that were read but could not be used, by reason. A few are normal on any network. "+
			"Investigate overrun, which means that the porter was too far behind, and many of the others: a broken card, "+
			"or a host that forges neighbor messages (bad_arp, bad_ndp).",
		units.PacketsPerSecond,
		query(`sum by (reason) (rate(nightporter_frames_rejected_total{@porters}[$__rate_interval]))`, "{{reason}}"))
}

func heldByPorter() panel {
	return heldPackets("@porters").Span(gridWidth)
}

func registrations() panel {
	return eventsPanel("Registrations",
		"Registrations that were accepted, and those rejected because they could not be understood (invalid), were not allowed (refused), "+
			"or were too many, too large or too slow (limited). Investigate refused ones that repeat: such a machine will not be claimed and woken.",
		query(`sum(increase(nightporter_registrations_total{@porters}[$__rate_interval]))`, "accepted"),
		query(`sum by (reason) (increase(nightporter_registrations_rejected_total{@porters}[$__rate_interval]))`, "{{reason}}"))
}

func notifications() panel {
	return eventsPanel("Notifications",
		"Notifications of the porter (notify.urls): messages that were sent, messages that were given up (failed), each counted for every target, "+
			"and events that notify.rate left out (suppressed). Investigate failed ones: they reached no phone.",
		query(`sum by (outcome) (increase(nightporter_notifications_total{@porters}[$__rate_interval]))`, "{{outcome}}"))
}

func configured() panel {
	return statPanel("Configuration loaded",
		"When each porter loaded its configuration successfully last, at its start or with a reload. "+
			"Investigate when you have reloaded it since: the file has an error, and nightporter check names it.",
		units.DateTimeFromNow,
		total(`max by (instance) (nightporter_config_last_reload_success_timestamp_seconds{@porters}) * 1000`, "{{instance}}")).
		Span(gridWidth)
}

func machinesKnown() panel {
	return linesPanel("Machines",
		"How many machines each porter knows. Investigate when it falls, or comes near registration.max_machines.",
		units.Short,
		query(`count by (instance) (nightporter_machine_info{@porters})`, "{{instance}}")).
		Decimals(0).
		DataLinks([]link{toPorter()})
}

func resources() []panel {
	use := func(title, description, unit, expr string) *timeseries.PanelBuilder {
		return linesPanel(title, description, unit, query(`sum by (instance) (`+expr+` @alive)`, "{{instance}}")).Span(8).Height(7)
	}
	return []panel{
		use("CPU", "Processor time that the porter takes, where 100 % is one core. It takes next to nothing while no packet comes for a machine. "+
			"Investigate when it stays above a tenth.",
			units.PercentUnit, `rate(process_cpu_seconds_total{@porters}[$__rate_interval])`),
		use("Memory", "Memory of the process that is resident. Expect 20 MiB with one machine and 48 MiB with a thousand. "+
			"Investigate when it climbs for days.",
			units.BytesIEC, `process_resident_memory_bytes{@porters}`),
		use("Goroutines", "Concurrent parts of the program. Their number follows interfaces and open connections. "+
			"Investigate when it climbs for days.",
			units.Short, `go_goroutines{@porters}`).Decimals(0),
		use("File descriptors", "Share of the file descriptors that the process may open. "+
			"Investigate above 80 %: at 100 % it can take no more registrations.",
			units.PercentUnit, `process_open_fds{@porters} / process_max_fds{@porters}`).
			Thresholds(steps("green", step{0.8, "red"})).
			ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed)),
		use("Scrape duration", "Time that a scrape of the porter takes. Investigate when it comes near the timeout of the scrape, 10 s if nothing else is set.",
			units.Seconds, `scrape_duration_seconds{@porters}`),
		use("Network", "Bytes of IP packets that the host of the porter receives, on all its interfaces. "+
			"Investigate when the porter's CPU climbs with it.",
			units.BytesPerSecondIEC, `rate(process_network_receive_bytes_total{@porters}[$__rate_interval])`),
	}
}
