package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/metrics"
)

// machineFacts are the metrics that are read at each scrape.
var machineFacts = []string{
	"nightporter_machine_state",
	"nightporter_machine_info",
	"nightporter_machine_agentless",
	"nightporter_machine_idle_watts",
	"nightporter_machine_sleep_watts",
	"nightporter_machine_state_changed_timestamp_seconds",
	"nightporter_machine_last_wake_timestamp_seconds",
	"nightporter_machine_paused",
	"nightporter_machine_sleep_seconds_total",
	"nightporter_machine_energy_saved_joules_total",
	"nightporter_machine_wake_attempts_total",
	"nightporter_machine_wakes_total",
	"nightporter_machine_knocks_total",
	"nightporter_machine_wake_failures_total",
	"nightporter_knocks_suppressed_total",
	"nightporter_machine_external_starts_total",
	"nightporter_machine_settle_timeouts_total",
	"nightporter_address_conflicts_total",
	"nightporter_held_packets_total",
	"nightporter_replayed_packets_total",
	"nightporter_held_packets_dropped_total",
}

func TestMachineFacts(t *testing.T) {
	h := new(fakePorter)
	nas := asleep("nas", midnight)
	nas.Agentless = true
	nas.PausedUntil = midnight.Add(time.Hour)
	nas.LastWake.At = midnight.Add(-1500 * time.Millisecond)
	nas.Tally = machine.Tally{
		Attempts: 7, ExternalStarts: 8, Conflicts: 9, SettleTimeouts: 10,
		Slept: time.Hour, SavedJoules: 1000,
	}
	nas.Packets = machine.Packets{Held: 13, Replayed: 11, Dropped: 12}
	nas.Suppressed[machine.TooFewKnocks], nas.Suppressed[machine.WhileCooling] = 14, 15
	nas.Suppressed[machine.FromThisHost], nas.Suppressed[machine.PortNotRegistered] = 17, 18
	nas.Tally.Wakes[machine.ByTCP] = 3
	nas.Knocks = machine.Knocks{{Port: machine.Port{Protocol: machine.TCP, Number: 22}, Count: 16}}
	nas.Tally.Wakes[machine.BySchedule] = 2
	nas.Tally.Failures[machine.ByAPI] = 1
	h.set(midnight.Add(10*time.Second), nas)
	_, reg := newMetrics(t, h.source())
	expect(t, reg, `
# HELP nightporter_address_conflicts_total Address conflicts in which the porter conceded an address of the machine to another host.
# TYPE nightporter_address_conflicts_total counter
nightporter_address_conflicts_total{machine="nas"} 9
# HELP nightporter_held_packets_dropped_total Packets dropped because the hold was full or the wake failed.
# TYPE nightporter_held_packets_dropped_total counter
nightporter_held_packets_dropped_total{machine="nas"} 12
# HELP nightporter_held_packets_total Packets held for the machine until its services are ready.
# TYPE nightporter_held_packets_total counter
nightporter_held_packets_total{machine="nas"} 13
# HELP nightporter_knocks_suppressed_total Knocks that did not wake the machine, by reason.
# TYPE nightporter_knocks_suppressed_total counter
nightporter_knocks_suppressed_total{machine="nas",reason="cooldown"} 15
nightporter_knocks_suppressed_total{machine="nas",reason="established"} 0
nightporter_knocks_suppressed_total{machine="nas",reason="failed_wakes"} 0
nightporter_knocks_suppressed_total{machine="nas",reason="local"} 17
nightporter_knocks_suppressed_total{machine="nas",reason="min_knocks"} 14
nightporter_knocks_suppressed_total{machine="nas",reason="ping"} 0
nightporter_knocks_suppressed_total{machine="nas",reason="port"} 18
nightporter_knocks_suppressed_total{machine="nas",reason="quiet_hours"} 0
nightporter_knocks_suppressed_total{machine="nas",reason="source"} 0
# HELP nightporter_machine_agentless 1 if the machine is agentless and need not register, else 0.
# TYPE nightporter_machine_agentless gauge
nightporter_machine_agentless{machine="nas"} 1
# HELP nightporter_machine_energy_saved_joules_total Estimated energy saved by sleeping: sleep time by the difference of idle and sleep power.
# TYPE nightporter_machine_energy_saved_joules_total counter
nightporter_machine_energy_saved_joules_total{machine="nas"} 1480
# HELP nightporter_machine_external_starts_total External starts: starts of the machine without the porter.
# TYPE nightporter_machine_external_starts_total counter
nightporter_machine_external_starts_total{machine="nas"} 8
# HELP nightporter_machine_idle_watts Power of the machine while it is awake and idle, as configured or registered.
# TYPE nightporter_machine_idle_watts gauge
nightporter_machine_idle_watts{machine="nas"} 50
# HELP nightporter_machine_info Always 1; the labels are the machine's name and MAC address.
# TYPE nightporter_machine_info gauge
nightporter_machine_info{mac="d8:cb:8a:39:be:a1",machine="nas"} 1
# HELP nightporter_machine_last_wake_timestamp_seconds When the last wake began, as Unix time; 0 if there was none.
# TYPE nightporter_machine_last_wake_timestamp_seconds gauge
nightporter_machine_last_wake_timestamp_seconds{machine="nas"} 1.7673119985e+09
# HELP nightporter_machine_knocks_total Wakes in which the service was requested, counted once per wake.
# TYPE nightporter_machine_knocks_total counter
nightporter_machine_knocks_total{machine="nas",service="22/tcp"} 16
nightporter_machine_knocks_total{machine="nas",service="icmp"} 0
# HELP nightporter_machine_paused 1 while the machine is paused: nothing is claimed, watched or woken.
# TYPE nightporter_machine_paused gauge
nightporter_machine_paused{machine="nas"} 1
# HELP nightporter_machine_settle_timeouts_total Times that the machine still answered probe.timeout after it registered for sleep.
# TYPE nightporter_machine_settle_timeouts_total counter
nightporter_machine_settle_timeouts_total{machine="nas"} 10
# HELP nightporter_machine_sleep_seconds_total Time that the machine was asleep.
# TYPE nightporter_machine_sleep_seconds_total counter
nightporter_machine_sleep_seconds_total{machine="nas"} 3610
# HELP nightporter_machine_sleep_watts Power of the machine while it sleeps, as configured or registered.
# TYPE nightporter_machine_sleep_watts gauge
nightporter_machine_sleep_watts{machine="nas"} 2
# HELP nightporter_machine_state 1 for the state that the machine is in, 0 for the others.
# TYPE nightporter_machine_state gauge
nightporter_machine_state{machine="nas",state="arriving"} 0
nightporter_machine_state{machine="nas",state="asleep"} 1
nightporter_machine_state{machine="nas",state="awake"} 0
nightporter_machine_state{machine="nas",state="settling"} 0
nightporter_machine_state{machine="nas",state="waking"} 0
# HELP nightporter_machine_state_changed_timestamp_seconds When the machine entered its state, as Unix time.
# TYPE nightporter_machine_state_changed_timestamp_seconds gauge
nightporter_machine_state_changed_timestamp_seconds{machine="nas"} 1.767312e+09
# HELP nightporter_machine_wake_attempts_total Magic packets sent to wake the machine.
# TYPE nightporter_machine_wake_attempts_total counter
nightporter_machine_wake_attempts_total{machine="nas"} 7
# HELP nightporter_machine_wake_failures_total Wakes without an answer after the last attempt, by trigger.
# TYPE nightporter_machine_wake_failures_total counter
nightporter_machine_wake_failures_total{machine="nas",trigger="api"} 1
nightporter_machine_wake_failures_total{machine="nas",trigger="icmp"} 0
nightporter_machine_wake_failures_total{machine="nas",trigger="schedule"} 0
nightporter_machine_wake_failures_total{machine="nas",trigger="tcp"} 0
nightporter_machine_wake_failures_total{machine="nas",trigger="udp"} 0
# HELP nightporter_machine_wakes_total Wakes started, by trigger.
# TYPE nightporter_machine_wakes_total counter
nightporter_machine_wakes_total{machine="nas",trigger="api"} 0
nightporter_machine_wakes_total{machine="nas",trigger="icmp"} 0
nightporter_machine_wakes_total{machine="nas",trigger="schedule"} 2
nightporter_machine_wakes_total{machine="nas",trigger="tcp"} 3
nightporter_machine_wakes_total{machine="nas",trigger="udp"} 0
# HELP nightporter_replayed_packets_total Held packets replayed to the machine after the handover.
# TYPE nightporter_replayed_packets_total counter
nightporter_replayed_packets_total{machine="nas"} 11
`, machineFacts...)
}

func TestExactlyOneState(t *testing.T) {
	h := new(fakePorter)
	_, reg := newMetrics(t, h.source())
	for _, state := range machine.States {
		s := asleep("nas", midnight)
		s.State = state
		h.set(midnight, s)
		var ones []string
		for _, m := range family(t, reg, "nightporter_machine_state").GetMetric() {
			if m.GetGauge().GetValue() == 1 {
				ones = append(ones, m.GetLabel()[1].GetValue())
			}
		}
		if len(ones) != 1 || ones[0] != state.String() {
			t.Errorf("%v is shown as %q", state, ones)
		}
	}
}

func TestNeverWokenIsZero(t *testing.T) {
	h := new(fakePorter)
	h.set(midnight, asleep("nas", midnight))
	_, reg := newMetrics(t, h.source())
	if v := value(t, reg, "nightporter_machine_last_wake_timestamp_seconds"); v != 0 {
		t.Errorf("last wake of a machine that was never woken: %v, want 0", v)
	}
}

func TestForgottenAndRenamed(t *testing.T) {
	h := new(fakePorter)
	h.set(midnight, asleep("nas", midnight), asleep("pc", midnight))
	m, reg := newMetrics(t, h.source())
	m.AddMachine("nas")
	m.AddMachine("pc")
	if got := machinesShown(t, reg); got != "nas pc" {
		t.Fatalf("series of %q, want nas and pc", got)
	}

	h.set(midnight, asleep("nas", midnight))
	m.RemoveMachine("pc")
	if got := machinesShown(t, reg); got != "nas" {
		t.Errorf("pc is forgotten: series of %q, want nas", got)
	}

	h.set(midnight, asleep("attic", midnight))
	m.RemoveMachine("nas")
	m.AddMachine("attic")
	if got := machinesShown(t, reg); got != "attic" {
		t.Errorf("nas is called attic now: series of %q, want attic", got)
	}

	m.Booted("pc", time.Second)
	m.Ready("nas", time.Second)
	if got := machinesShown(t, reg); got != "attic" {
		t.Errorf("late events of forgotten machines: series of %q, want attic", got)
	}
}

// The time of a scrape is read before the machines are: otherwise a machine that
// wakes between the two would be shown with more sleep than it had.
func TestTimeIsReadFirst(t *testing.T) {
	var calls []string
	_, reg := newMetrics(t, metrics.Source{
		Machines: func() []machine.Status { calls = append(calls, "machines"); return nil },
		Now:      func() time.Time { calls = append(calls, "now"); return midnight },
	})
	calls = nil // of the start
	if _, err := reg.Gather(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(calls, " "); got != "now machines" {
		t.Errorf("read %q, want the time and then the machines", got)
	}
}

func TestInterfaces(t *testing.T) {
	src := new(fakePorter).source()
	drops := map[string]uint64{"eth0": 5, "wlan0": 0}
	src.Drops = func() map[string]uint64 { return drops }
	src.Rejected = func() map[string]map[string]uint64 {
		return map[string]map[string]uint64{"eth0": {"truncated": 4, "checksum": 1}}
	}
	_, reg := newMetrics(t, src)
	expect(t, reg, `
# HELP nightporter_capture_drops_total Packets that the kernel dropped because they were not read in time.
# TYPE nightporter_capture_drops_total counter
nightporter_capture_drops_total{interface="eth0"} 5
nightporter_capture_drops_total{interface="wlan0"} 0
# HELP nightporter_frames_rejected_total Frames rejected after reading, by reason.
# TYPE nightporter_frames_rejected_total counter
nightporter_frames_rejected_total{interface="eth0",reason="checksum"} 1
nightporter_frames_rejected_total{interface="eth0",reason="truncated"} 4
`, "nightporter_capture_drops_total", "nightporter_frames_rejected_total")
}

// Each of these is 1 or 0 as its source says, and there is no series of what no
// source tells of.
func TestSwitches(t *testing.T) {
	for _, c := range []struct {
		name, help string
		source     func(*metrics.Source) *func() bool
	}{
		{"ready", "1 while the porter works on every interface, else 0: see /-/ready.",
			func(s *metrics.Source) *func() bool { return &s.Ready }},
		{"guard_active", "1 while the guard keeps this host's kernel silent about claimed addresses, else 0.",
			func(s *metrics.Source) *func() bool { return &s.Guarded }},
		{"guard_needed", "1 if this host's kernel would answer for claimed addresses without the guard, 0 if it would not or claim.guard is off.",
			func(s *metrics.Source) *func() bool { return &s.GuardNeeded }},
		{"journal_healthy", "1 while the journal can be written, 0 while it cannot and registrations are refused.",
			func(s *metrics.Source) *func() bool { return &s.Stored }},
	} {
		on := false
		src := new(fakePorter).source()
		*c.source(&src) = func() bool { return on }
		_, reg := newMetrics(t, src)
		for _, value := range []string{"0", "1", "0"} {
			on = value == "1"
			expect(t, reg, fmt.Sprintf("# HELP nightporter_%[1]s %[2]s\n# TYPE nightporter_%[1]s gauge\nnightporter_%[1]s %[3]s\n", c.name, c.help, value),
				"nightporter_ready", "nightporter_guard_active", "nightporter_guard_needed", "nightporter_journal_healthy")
		}
	}
}

// A name that is no UTF-8 cannot be exported. The scrape says so; nothing else
// is lost and nothing panics.
func TestBadNameIsAnError(t *testing.T) {
	h := new(fakePorter)
	h.set(midnight, asleep("n\xffs", midnight), asleep("pc", midnight))
	m, reg := newMetrics(t, h.source())
	m.AddMachine("n\xffs")
	m.Booted("n\xffs", time.Second)
	families, err := reg.Gather()
	if err == nil || !strings.Contains(err.Error(), "not utf8") {
		t.Errorf("error %v, want one about UTF-8", err)
	}
	for _, f := range families {
		if f.GetName() == "nightporter_machine_info" {
			if n := len(f.GetMetric()); n != 1 {
				t.Errorf("%d machines shown, want pc alone", n)
			}
			return
		}
	}
	t.Error("no machine is shown")
}

// A machine that registers thousands of services does not get as many series.
func TestServicesAreBounded(t *testing.T) {
	h := new(fakePorter)
	nas := asleep("nas", midnight)
	nas.Monitor[0].Ports = nil
	for n := range 40 {
		p := machine.Port{Protocol: machine.UDP, Number: uint16(1000 + n)}
		nas.Monitor[0].Ports = append(nas.Monitor[0].Ports, p)
		nas.Knocks = append(nas.Knocks, machine.PortKnocks{Port: p, Count: uint64(n)})
	}
	h.set(midnight, nas)
	_, reg := newMetrics(t, h.source())
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		if f.GetName() == "nightporter_machine_knocks_total" {
			for _, s := range f.GetMetric() {
				got[s.GetLabel()[1].GetValue()] = s.GetCounter().GetValue()
			}
		}
	}
	// The first by protocol and number is 22/tcp of the other address.
	if len(got) != 32 || got["22/tcp"] != 0 || got["1029/udp"] != 29 || got["other"] != 30+31+32+33+34+35+36+37+38+39 {
		t.Errorf("%d series: %v", len(got), got)
	}
}
