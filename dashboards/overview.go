package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// overview is about all machines of all porters: what sleeps, what it saved, and
// what went wrong.
func overview() board {
	return board{
		uid:   overviewUID,
		title: "nightporter / Overview",
		description: "Which machines sleep and what that saved, who was woken and why, and what went wrong. " +
			"A click on a machine opens its own dashboard.",
		from: "now-24h",
		variables: append(porterVariables(), machinesVariable(),
			text("price", "Price per kWh", "What a kilowatt hour costs, with a decimal point.", "0.30"),
			text("currency", "Currency", "The currency of the price.", "€")),
		annotations: []annotation{failedWakes("@machines")},
		rows: []row{
			{"Now", []panel{machinesByState(), sleepShare("@machines"), energySaved("@machines"), moneySaved()}},
			{"Problems", []panel{problemList(), lastWakes()}},
			{"Sleep", []panel{stateOfEach(), machinesByStateOverTime(), sleepShares(), power(), powerSaved("@machines").Span(24)}},
			{"Wakes", []panel{startsByTrigger("@machines"), wakesByOutcome(), suppressedKnocks("@machines"), heldPackets("@machines")}},
		},
	}
}

func machinesByState() panel {
	p := statPanel("Machines by state",
		"How many machines are in each state now. Asleep is what the porter is for; awake ones are in use, or do not fall asleep. "+
			"Settling, waking and arriving last minutes at most: investigate a machine that stays there.",
		units.Short,
		total(`sum by (state) (nightporter_machine_state{@machines})`, "{{state}}")).
		Span(12).
		TextMode(common.BigValueTextModeValueAndName)
	for _, s := range states() {
		if s.text != "" {
			p.OverrideByName(s.text, fixed(s.color))
		}
	}
	return p
}

func sleepShare(machines string) *stat.PanelBuilder {
	return statPanel("Sleep share",
		"The share of the selected time range that the machines spent asleep, on average. "+
			"Investigate when it falls: something keeps them awake, or wakes them for nothing.",
		units.PercentUnit,
		total(`avg(avg_over_time(nightporter_machine_state{`+machines+`, state="asleep"}[$__range]))`, "asleep")).
		Decimals(0).
		Thresholds(steps("orange", step{0.1, "yellow"}, step{0.3, "green"}))
}

func energySaved(machines string) *stat.PanelBuilder {
	return statPanel("Energy saved",
		"Energy saved by sleeping in the selected time range: the time asleep by the difference of each machine's idle and sleep power. "+
			"An estimate, as good as the watts that the machines registered or that the configuration has. Investigate when it does not grow in a night.",
		units.WattHour,
		total(`sum(increase(nightporter_machine_energy_saved_joules_total{`+machines+`}[$__range])) / 3600`, "saved")).
		Decimals(1).
		Thresholds(steps("green"))
}

func moneySaved() panel {
	return statPanel("Saved in $currency",
		"What the energy saved in the selected time range would have cost, at the price per kilowatt hour that is set above. "+
			"An estimate, like the energy. Investigate when it does not pay for the porter, which takes some 20 kWh a year.",
		units.NoUnit,
		total(`sum(increase(nightporter_machine_energy_saved_joules_total{@machines}[$__range])) / 3.6e6 * $price`, "saved")).
		Decimals(2).
		Thresholds(steps("green"))
}

func stateOfEach() panel {
	return timelinePanel("State of each machine",
		"The state of every machine over time. Investigate one that goes back and forth: it does not stay asleep. "+
			"Waking and arriving can be too short to be seen here. A gap means that its porter was not scraped.",
		stateNames(),
		query(stateNumber("@machines"), "{{machine}} ({{instance}})")).
		Height(10).
		DataLinks([]link{toMachine()})
}

func machinesByStateOverTime() panel {
	p := linesPanel("Machines by state, over time",
		"How many machines were in each state. Days and nights should be seen; investigate when fewer machines sleep.",
		units.Short,
		query(`sum by (state) (nightporter_machine_state{@machines})`, "{{state}}")).
		Decimals(0).LineWidth(0).FillOpacity(70).
		Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
	for _, s := range states() {
		if s.text != "" {
			p.OverrideByName(s.text, fixed(s.color))
		}
	}
	return p
}

func sleepShares() panel {
	return sharesPanel("Least sleep",
		"The twenty machines that spent the smallest share of the selected time range asleep. "+
			"Investigate one that is not in use and that is here all the same.",
		total(`bottomk(20, sum by (instance, machine) (avg_over_time(nightporter_machine_state{@machines, state="asleep"}[$__range])))`,
			"{{machine}} ({{instance}})")).
		Thresholds(steps("orange", step{0.1, "yellow"}, step{0.3, "green"})).
		DataLinks([]link{toMachine()})
}

func power() panel {
	return tablePanel("Power of each machine",
		"What each machine draws while it is awake and idle, and while it sleeps, as it registered or as the configuration has it, "+
			"and what its sleep saved in the selected time range. An agentless machine need not register. "+
			"Investigate watts that you have not measured: what was saved is no better than they are.",
		machineColumn(),
		porterColumn(),
		column{title: "Idle", looks: in(units.Watt, 1), expr: `max by (instance, machine) (nightporter_machine_idle_watts{@machines})`},
		column{title: "Asleep", looks: in(units.Watt, 1), expr: `max by (instance, machine) (nightporter_machine_sleep_watts{@machines})`},
		column{title: "Saved", looks: in(units.WattHour, 0),
			expr: `sum by (instance, machine) (increase(nightporter_machine_energy_saved_joules_total{@machines}[$__range])) / 3600`},
		column{title: "Agentless", looks: coloured(values(shown{"no", "text"}, shown{"yes", "text"})),
			expr: `max by (instance, machine) (nightporter_machine_agentless{@machines})`}).
		Span(12).
		SortBy(sortBy("Saved", true))
}
