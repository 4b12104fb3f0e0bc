package journal

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

// wakeForm is the last wake of a machine in JSON, all but its time.
type wakeForm struct {
	Trigger  string         `json:"trigger"`
	IP       netip.Addr     `json:"ip,omitzero"`     // of the service that was knocked at
	Port     string         `json:"port,omitempty"`  // likewise: "22/tcp", "icmp"
	Source   netip.AddrPort `json:"source,omitzero"` // of the knock
	By       string         `json:"by,omitempty"`
	Outcome  string         `json:"outcome"`
	Attempts int            `json:"magic_packets,omitempty"`
	Boot     span           `json:"boot,omitempty"`
	Ready    span           `json:"ready,omitempty"`
	Test     bool           `json:"test,omitempty"`
}

func wakeFormOf(w *machine.LastWake) *wakeForm {
	if !w.Known() {
		return nil
	}
	f := &wakeForm{
		Trigger: w.Trigger.String(), Source: w.Source, By: bounded(w.By), Outcome: w.Outcome.String(),
		Attempts: w.Attempts, Boot: span(w.Boot), Ready: span(w.Ready), Test: w.Test,
	}
	if w.Service.Addr.IsValid() {
		f.IP, f.Port = w.Service.Addr, w.Service.Port.String()
	}
	return f
}

// lastWake returns the wake that began at that time. Of one that only a newer
// version understands, or whose file is older than this form, it is all.
func (f *wakeForm) lastWake(at time.Time) machine.LastWake {
	unknown := machine.LastWake{At: at}
	if f == nil || at.IsZero() {
		return unknown
	}
	w := machine.LastWake{
		At: at, Source: f.Source, By: bounded(f.By),
		Attempts: max(0, f.Attempts), Boot: f.Boot.within(longestTaken), Ready: f.Ready.within(longestTaken), Test: f.Test,
	}
	var known bool
	if w.Trigger, known = triggerNamed(f.Trigger); !known || w.Outcome.UnmarshalText([]byte(f.Outcome)) != nil {
		return unknown
	}
	if f.IP.IsValid() {
		ports, err := machine.ParsePort(f.Port)
		if err != nil || len(ports) != 1 {
			return unknown
		}
		w.Service = machine.Service{Addr: f.IP, Port: ports[0]}
	}
	return w
}

func triggerNamed(name string) (machine.Trigger, bool) {
	for _, t := range machine.Triggers {
		if t.String() == name {
			return t, true
		}
	}
	return 0, false
}

// diaryForm is a diary in JSON, by date.
type diaryForm map[string]span

func diaryFormOf(d machine.SleepLog) diaryForm {
	if len(d) == 0 {
		return nil
	}
	f := make(diaryForm, len(d))
	for _, day := range d {
		f[day.Date] = span(day.Slept)
	}
	return f
}

// longestDay is the day on which summer time ends.
const longestDay = 25 * time.Hour

func (f diaryForm) diary() machine.SleepLog {
	var d machine.SleepLog
	for _, date := range slices.Sorted(maps.Keys(f)) {
		if _, err := time.Parse(time.DateOnly, date); err == nil && f[date] > 0 {
			d = append(d, machine.Day{Date: date, Slept: min(time.Duration(f[date]), longestDay)})
		}
	}
	return d.Bounded()
}

// knocksForm is knocks in JSON, by port: "22/tcp", "icmp".
type knocksForm map[string]uint64

func knocksFormOf(k machine.Knocks) knocksForm {
	if len(k) == 0 {
		return nil
	}
	f := make(knocksForm, len(k))
	for _, at := range k {
		f[at.Port.String()] = at.Count
	}
	return f
}

// knocks leaves out ports that only a newer version knows.
func (f knocksForm) knocks() machine.Knocks {
	var k machine.Knocks
	for name, count := range f {
		if ports, err := machine.ParsePort(name); err == nil && len(ports) == 1 && ports[0].String() == name {
			k = append(k, machine.PortKnocks{Port: ports[0], Count: count})
		}
	}
	slices.SortFunc(k, func(a, b machine.PortKnocks) int { return a.Port.Compare(b.Port) })
	return k
}
