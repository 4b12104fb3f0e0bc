package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"nightporter/internal/machine"
)

// facts is the Collector of the values that are read from the Source at each scrape.
type facts struct {
	src Source

	machineDescs
	captureDrops, framesRejected *prometheus.Desc
	switches                     []switchOf

	states   [len(machine.States)]*dto.LabelPair
	triggers [len(machine.Triggers)]*dto.LabelPair
	reasons  [len(machine.Suppressions)]*dto.LabelPair

	marks marks
}

func newFacts(src Source) *facts {
	f := &facts{
		src:          src,
		machineDescs: newMachineDescs(),
		captureDrops: desc("capture_drops_total",
			"Packets that the kernel dropped because they were not read in time.", "interface"),
		framesRejected: desc("frames_rejected_total",
			"Frames rejected after reading, by reason.", "interface", "reason"),
		switches: newSwitches(src),
	}
	for _, s := range machine.States {
		f.states[s] = label("state", s.String())
	}
	for _, t := range machine.Triggers {
		f.triggers[t] = label("trigger", t.String())
	}
	for _, s := range machine.Suppressions {
		f.reasons[s] = label("reason", s.String())
	}
	return f
}

// Describe implements prometheus.Collector.
func (f *facts) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append(f.machineDescs.all(), f.captureDrops, f.framesRejected) {
		ch <- d
	}
	for _, s := range f.switches {
		ch <- s.desc
	}
}

// Collect implements prometheus.Collector.
func (f *facts) Collect(ch chan<- prometheus.Metric) {
	// Now is read before Machines: a machine that wakes between the two calls then
	// shows no more sleep than its tally has afterwards.
	now := f.src.Now()
	machines := f.src.Machines()
	marks := f.marks.raise(machines, now)
	services := make(serviceLabels)
	for i := range machines {
		f.collectMachine(ch, &machines[i], marks[i], services)
	}
	for _, s := range f.switches {
		gauge(ch, s.desc, one(s.on()))
	}
	if f.src.Drops != nil {
		for iface, n := range f.src.Drops() {
			counter(ch, f.captureDrops, float64(n), label("interface", iface))
		}
	}
	if f.src.Rejected != nil {
		for iface, reasons := range f.src.Rejected() {
			for reason, n := range reasons {
				counter(ch, f.framesRejected, float64(n), label("interface", iface), label("reason", reason))
			}
		}
	}
}

func (f *facts) collectMachine(ch chan<- prometheus.Metric, s *machine.Status, m mark, services serviceLabels) {
	name := label("machine", s.Name)
	own := []*dto.LabelPair{name} // shared by all samples that have no other label
	for _, state := range machine.States {
		gauge(ch, f.state, one(s.State == state), name, f.states[state])
	}
	gauge(ch, f.info, 1, label("mac", s.MAC.String()), name)
	gauge(ch, f.agentless, one(s.Agentless), own...)
	gauge(ch, f.idleWatts, s.IdleWatts, own...)
	gauge(ch, f.sleepWatts, s.SleepWatts, own...)
	gauge(ch, f.stateChanged, unix(s.Since), own...)
	gauge(ch, f.lastWake, unix(s.LastWake.At), own...)
	gauge(ch, f.paused, one(!s.PausedUntil.IsZero()), own...)
	counter(ch, f.slept, m.slept.Seconds(), own...)
	counter(ch, f.saved, m.joules, own...)
	counter(ch, f.attempts, float64(s.Tally.Attempts), own...)
	for _, t := range machine.Triggers {
		labels := []*dto.LabelPair{name, f.triggers[t]}
		counter(ch, f.wakes, float64(s.Tally.Wakes[t]), labels...)
		counter(ch, f.failures, float64(s.Tally.Failures[t]), labels...)
	}
	f.collectKnocks(ch, s, name, services)
	for _, why := range machine.Suppressions {
		counter(ch, f.suppressed, float64(s.Suppressed[why]), name, f.reasons[why])
	}
	counter(ch, f.externalStarts, float64(s.Tally.ExternalStarts), own...)
	counter(ch, f.conflicts, float64(s.Tally.Conflicts), own...)
	counter(ch, f.settleTimeouts, float64(s.Tally.SettleTimeouts), own...)
	counter(ch, f.held, float64(m.packets.Held), own...)
	counter(ch, f.replayed, float64(m.packets.Replayed), own...)
	counter(ch, f.dropped, float64(m.packets.Dropped), own...)
}

// shownServices bounds the series of one machine: it may register thousands of
// services. What is beyond has one series, whose service is "other".
const shownServices = 32

// serviceLabels are shared by the machines of one scrape: most have the same few.
type serviceLabels map[machine.Port]*dto.LabelPair

func (l serviceLabels) of(p machine.Port) *dto.LabelPair {
	if l[p] == nil {
		l[p] = label("service", p.String())
	}
	return l[p]
}

func (f *facts) collectKnocks(ch chan<- prometheus.Metric, s *machine.Status, name *dto.LabelPair, services serviceLabels) {
	ports := s.Ports()
	var others uint64
	for i, p := range ports {
		n := s.Knocks.Of(p)
		if len(ports) > shownServices && i >= shownServices-1 {
			others += n
			continue
		}
		counter(ch, f.knocks, float64(n), name, services.of(p))
	}
	if len(ports) > shownServices {
		counter(ch, f.knocks, float64(others), name, label("service", "other"))
	}
}
