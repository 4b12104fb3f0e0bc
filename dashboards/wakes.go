package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// The panels in this file are about the machines that a selector is for: those
// that are chosen, or one.

func startsByTrigger(machines string) *timeseries.PanelBuilder {
	return eventsPanel("Starts by trigger",
		"Wakes by what caused them: a packet to a registered service (tcp, udp, icmp), or a request by the page, a command or the API (api). "+
			"And external starts: those without a wake by the porter. Investigate wakes at regular intervals: a monitor or a scanner causes them. "+
			"Which client knocked is in the event list: the porter's page, or nightporter events.",
		query(`sum by (trigger) (increase(nightporter_machine_wakes_total{`+machines+`, trigger!="schedule"}[$__rate_interval]))`, "{{trigger}}"), // no schedule wakes so far
		query(`sum(increase(nightporter_machine_external_starts_total{`+machines+`}[$__rate_interval]))`, "external"))
}

func wakesByOutcome() *timeseries.PanelBuilder {
	return eventsPanel("Wakes by outcome",
		"How wakes ended: ready means that the services that were knocked at took the waiting connections; not ready, that the machine "+
			"came up but a service did not open within hold.ready_timeout; failed, that it stayed silent after the last magic packet. "+
			"Investigate every failed one.",
		query(`sum(increase(nightporter_machine_ready_duration_seconds_count{@machines}[$__rate_interval]))`, "ready"),
		// increase() is no exact count, and the difference of two of them even less.
		query(`round(
			sum(increase(nightporter_machine_boot_duration_seconds_count{@machines}[$__rate_interval]))
			- sum(increase(nightporter_machine_ready_duration_seconds_count{@machines}[$__rate_interval])))`, "not ready"),
		query(`sum(increase(nightporter_machine_wake_failures_total{@machines}[$__rate_interval]))`, "failed")).
		OverrideByName("ready", fixed("green")).
		OverrideByName("not ready", fixed("orange")).
		OverrideByName("failed", fixed("red"))
}

func knocksByService() *timeseries.PanelBuilder {
	return eventsPanel("Knocks by service",
		"In how many wakes each registered service was requested. A service counts once for each wake, however often its clients repeat themselves; "+
			"beyond 32 services the rest is other. Investigate wakes for a service that is not needed at night: leave it out of the registration.",
		query(`sum by (service) (increase(nightporter_machine_knocks_total{@machine}[$__rate_interval]))`, "{{service}}"))
}

func suppressedKnocks(machines string) *timeseries.PanelBuilder {
	return eventsPanel("Knocks that did not wake",
		"Packets for sleeping machines that did not wake them, by reason: local (a program of the porter's host, wake.local), port and ping (not registered), "+
			"source (wake.from, wake_from), established (opens no connection), failed_wakes (the last wakes failed), min_knocks, quiet_hours, cooldown. "+
			"`nightporter why NAME` tells who sent them, and which setting would change it. Investigate when a client waits for a machine and its packets are among them.",
		query(`sum by (reason) (increase(nightporter_knocks_suppressed_total{`+machines+`}[$__rate_interval]))`, "{{reason}}"))
}

func heldPackets(machines string) *timeseries.PanelBuilder {
	return eventsPanel("Packets kept for machines",
		"Packets that were held until the machine could take them, those replayed to it, and those dropped: there was no room, or the wake failed. "+
			"Investigate when packets are dropped although no wake failed: hold.packets is too small.",
		query(`sum(increase(nightporter_held_packets_total{`+machines+`}[$__rate_interval]))`, "held"),
		query(`sum(increase(nightporter_replayed_packets_total{`+machines+`}[$__rate_interval]))`, "replayed"),
		query(`sum(increase(nightporter_held_packets_dropped_total{`+machines+`}[$__rate_interval]))`, "dropped")).
		Stacking(notStacked()).
		OverrideByName("dropped", fixed("red"))
}

func powerSaved(machines string) *timeseries.PanelBuilder {
	return linesPanel("Power saved",
		"The power that is not drawn because machines sleep, an estimate from their registered or configured watts. "+
			"Next to it the sum of a whole night is the energy saved. Investigate when it is 0 at times when machines should sleep.",
		units.Watt,
		query(`sum(rate(nightporter_machine_energy_saved_joules_total{`+machines+`}[$__rate_interval]))`, "saved")).
		FillOpacity(40)
}
