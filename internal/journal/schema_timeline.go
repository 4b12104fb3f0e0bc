package journal

import (
	"strconv"
	"strings"
	"time"
	"unique"
)

// timelineForm is a timeline in JSON. It is written with the memory of its machine if
// earlier records do not have it: in a rewritten file.
type timelineForm struct {
	// Spans are phases, oldest first: a letter and for how many seconds. The last one
	// goes on.
	Spans string         `json:"spans,omitempty"`
	Wakes []wakeStepForm `json:"wakes,omitempty"`
	More  []bundleForm   `json:"more_wakes,omitempty"`
}

type wakeStepForm struct {
	At      moment `json:"at"`
	Trigger string `json:"trigger"`
	Outcome string `json:"outcome"`
	Client  string `json:"client,omitempty"`
	Service string `json:"service,omitempty"`
}

type bundleForm struct {
	First moment `json:"first"`
	Wakes int    `json:"wakes"`
}

// phaseLetters has a letter for each phase.
const phaseLetters = "uasw"

// timelineFormOf returns t in JSON, for a record of now. At is the time from the base of
// the journal to now. The times in JSON are on the clock of now.
func timelineFormOf(t *timeline, at time.Duration, now time.Time) *timelineForm {
	if t == nil {
		return nil
	}
	when := func(then time.Duration) moment { return moment{now.Add(then - at)} }
	f := &timelineForm{Spans: spansText(t.steps, at)}
	for _, w := range t.wakes {
		f.Wakes = append(f.Wakes, wakeStepForm{At: when(w.at), Trigger: w.trigger.String(), Outcome: w.outcome.String(), Client: w.client.Value(), Service: w.service.Value()})
	}
	for _, m := range t.more {
		f.More = append(f.More, bundleForm{First: when(m.first), Wakes: m.wakes})
	}
	return f
}

// spansText is the inverse of stepsIn.
func spansText(steps []step, now time.Duration) string {
	age := func(i int) int64 { // in seconds, rounded once, so that nothing drifts
		if i == len(steps) {
			return 0
		}
		return int64(min(max(0, now-steps[i].at()), kept).Round(time.Second) / time.Second)
	}
	var text []byte
	for i, s := range steps {
		if i > 0 {
			text = append(text, ' ')
		}
		text = append(text, phaseLetters[s.phase()])
		text = strconv.AppendInt(text, age(i)-age(i+1), 10)
	}
	return string(text)
}

// stepsIn parses spans that end at now. It ignores invalid spans; a phase of a newer
// version is unknown.
func stepsIn(spans string, now time.Duration) []step {
	var steps []step
	var sum time.Duration
	for field := range strings.FieldsSeq(spans) {
		if len(steps) == maxSteps {
			break
		}
		seconds, err := strconv.ParseUint(field[1:], 10, 32)
		if err != nil {
			continue
		}
		steps = append(steps, newStep(sum, Phase(max(0, strings.IndexByte(phaseLetters, field[0])))))
		sum = min(sum+time.Duration(seconds)*time.Second, century)
	}
	for i, s := range steps {
		steps[i] = newStep(now-sum+s.at(), s.phase())
	}
	return steps
}

// timeline returns the timeline in a record of w.
func (f *timelineForm) timeline(w writing) *timeline {
	at := func(t moment) time.Duration { return w.after - w.age(t.Time, false) }
	t := &timeline{steps: stepsIn(f.Spans, w.after)}
	for _, form := range first(MaxWakes, f.Wakes) {
		s := wakeStep{at: at(form.At), client: unique.Make(shortened(form.Client, maxClient)), service: unique.Make(shortened(form.Service, maxClient))}
		var known bool
		s.trigger, known = triggerNamed(form.Trigger)
		if n := len(t.wakes); !known || s.outcome.UnmarshalText([]byte(form.Outcome)) != nil || n > 0 && s.at < t.wakes[n-1].at {
			continue // of a newer version, or in disorder
		}
		t.wakes = append(t.wakes, s)
	}
	for _, form := range first(maxBundles, f.More) {
		b := bundle{at(form.First), min(form.Wakes, maxBundled)}
		if n := len(t.more); b.wakes > 0 && (n == 0 || b.first >= t.more[n-1].first) {
			t.more = append(t.more, b)
		}
	}
	t.dropBefore(w.after - kept)
	return t
}
