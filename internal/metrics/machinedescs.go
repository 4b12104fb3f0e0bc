package metrics

import "github.com/prometheus/client_golang/prometheus"

// machineDescs describe the metrics of each machine that are read at each scrape.
type machineDescs struct {
	state, info, stateChanged, lastWake, paused   *prometheus.Desc
	agentless, idleWatts, sleepWatts              *prometheus.Desc
	slept, saved                                  *prometheus.Desc
	attempts, wakes, knocks, failures, suppressed *prometheus.Desc
	externalStarts, conflicts, settleTimeouts     *prometheus.Desc
	held, replayed, dropped                       *prometheus.Desc
}

func newMachineDescs() machineDescs {
	return machineDescs{
		state: desc("machine_state",
			"1 for the state that the machine is in, 0 for the others.", "machine", "state"),
		info: desc("machine_info",
			"Always 1; the labels are the machine's name and MAC address.", "machine", "mac"),
		agentless: desc("machine_agentless",
			"1 if the machine is agentless and need not register, else 0.", "machine"),
		idleWatts: desc("machine_idle_watts",
			"Power of the machine while it is awake and idle, as configured or registered.", "machine"),
		sleepWatts: desc("machine_sleep_watts",
			"Power of the machine while it sleeps, as configured or registered.", "machine"),
		stateChanged: desc("machine_state_changed_timestamp_seconds",
			"When the machine entered its state, as Unix time.", "machine"),
		lastWake: desc("machine_last_wake_timestamp_seconds",
			"When the last wake began, as Unix time; 0 if there was none.", "machine"),
		paused: desc("machine_paused",
			"1 while the machine is paused: nothing is claimed, watched or woken.", "machine"),
		slept: desc("machine_sleep_seconds_total",
			"Time that the machine was asleep.", "machine"),
		saved: desc("machine_energy_saved_joules_total",
			"Estimated energy saved by sleeping: sleep time by the difference of idle and sleep power.", "machine"),
		attempts: desc("machine_wake_attempts_total",
			"Magic packets sent to wake the machine.", "machine"),
		wakes: desc("machine_wakes_total",
			"Wakes started, by trigger.", "machine", "trigger"),
		knocks: desc("machine_knocks_total",
			"Wakes in which the service was requested, counted once per wake.", "machine", "service"),
		failures: desc("machine_wake_failures_total",
			"Wakes without an answer after the last attempt, by trigger.", "machine", "trigger"),
		suppressed: desc("knocks_suppressed_total",
			"Knocks that did not wake the machine, by reason.", "machine", "reason"),
		externalStarts: desc("machine_external_starts_total",
			"External starts: starts of the machine without the porter.", "machine"),
		conflicts: desc("address_conflicts_total",
			"Address conflicts in which the porter conceded an address of the machine to another host.", "machine"),
		settleTimeouts: desc("machine_settle_timeouts_total",
			"Times that the machine still answered probe.timeout after it registered for sleep.", "machine"),
		held: desc("held_packets_total",
			"Packets held for the machine until its services are ready.", "machine"),
		replayed: desc("replayed_packets_total",
			"Held packets replayed to the machine after the handover.", "machine"),
		dropped: desc("held_packets_dropped_total",
			"Packets dropped because the hold was full or the wake failed.", "machine"),
	}
}

func (d machineDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{
		d.state, d.info, d.stateChanged, d.lastWake, d.paused, d.agentless, d.idleWatts, d.sleepWatts, d.slept, d.saved,
		d.attempts, d.wakes, d.knocks, d.failures, d.suppressed, d.externalStarts, d.conflicts, d.settleTimeouts,
		d.held, d.replayed, d.dropped,
	}
}
