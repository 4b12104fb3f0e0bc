package web

import (
	"fmt"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// details is the content of an opened row.
type details struct {
	Addresses []addressLine
	MAC       string
	WakeMAC   string   // the card that wakes it, where that is not MAC
	WakeFrom  []string // who may wake it; empty: all whom wake.from allows
	Power     string
	Saved     string
	Since     *moment // since when Saved counts; nil: not known
	Agentless bool
	Events    []line

	Why     []whyTopic
	Strip   []stripRow
	Clients []clientLine
	Pause   *pauseCell // nil: it cannot be paused
}

// addressLine is an address and what wakes the machine there.
type addressLine struct {
	IP       string
	Guest    string // MAC of the guest whose address it is
	Stuck    string // why it cannot be claimed
	Services []service
}

// pauseCell is the pause of a machine.
type pauseCell struct{ Until *moment } // nil: it is not

func detailsOf(s *machine.Status, t detailSources, now time.Time) details {
	d := details{
		MAC: s.MAC.String(), Power: fmt.Sprintf("%g W awake, %g W asleep", s.IdleWatts, s.SleepWatts), Agentless: s.Agentless,
		Why: whyTopics(t.Why), Strip: stripRows(t.Strip), Clients: clientLines(t.Clients, now), Pause: t.Pause,
	}
	d.Saved, d.Since = Energy(s.SavedJoules(now))+", asleep for "+span(s.Slept(now)), knownMoment(s.Counted, now)
	if s.WakeMAC != (ether.MAC{}) {
		d.WakeMAC = s.WakeMAC.String()
	}
	for _, p := range s.WakeFrom {
		d.WakeFrom = append(d.WakeFrom, p.String())
	}
	for i := range s.Monitor {
		a := &s.Monitor[i]
		l := addressLine{IP: a.IP.String(), Services: servicesOf(a)}
		if a.Guest() {
			l.Guest = a.MAC.String()
		}
		if i < len(s.Addresses) {
			l.Stuck = stuck(&s.Addresses[i])
		}
		d.Addresses = append(d.Addresses, l)
	}
	return d
}

// whyTopic is all that is said of one topic.
type whyTopic struct {
	Topic string
	Lines []whyLine
}

// whyTopics puts lines of one topic that follow each other together.
func whyTopics(lines []whyLine) (topics []whyTopic) {
	for _, l := range lines {
		if n := len(topics); n == 0 || topics[n-1].Topic != l.Topic {
			topics = append(topics, whyTopic{Topic: l.Topic})
		}
		t := &topics[len(topics)-1]
		t.Lines = append(t.Lines, l)
	}
	return topics
}

// stripRow is a day as a strip of 24 hours, in the units of the picture.
type stripRow struct {
	Day   string // "Sun"
	Title string // the date
	Spans []stripPart
	Wakes []string // where a wake was
}

// stripPart is a time in one state.
type stripPart struct{ X, Width, State, Title string }

// stripWidth is how wide the picture of a day is: ten units for an hour, and one hour
// more for the day on which summer time ends.
const stripWidth = 240

func stripRows(days []stripDay) []stripRow {
	rows := make([]stripRow, 0, len(days))
	for _, d := range days {
		named := weekday(d.Date)
		r := stripRow{Day: named[:min(3, len(named))], Title: named}
		for _, s := range d.Spans {
			from, to := 10*min(s.From, 24), 10*min(s.To, 24)
			r.Spans = append(r.Spans, stripPart{
				X: fmt.Sprintf("%.1f", from), Width: fmt.Sprintf("%.1f", max(0, to-from)), State: s.State,
				Title: fmt.Sprintf("%s %s to %s", s.State, clock(s.From), clock(s.To)),
			})
		}
		for _, at := range d.Wakes {
			r.Wakes = append(r.Wakes, fmt.Sprintf("%.1f", min(10*at, stripWidth-2)))
		}
		rows = append(rows, r)
	}
	return rows
}

// clock writes an hour of the day as 07:30.
func clock(hours float64) string {
	minutes := int(hours*60 + 0.5)
	return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60)
}

// clientLine is who woke a machine in the last week.
type clientLine struct {
	Client  string
	Wakes   int
	Service string
	Last    moment
}

func clientLines(all []clientWakes, now time.Time) []clientLine {
	lines := make([]clientLine, len(all))
	for i, c := range all {
		lines[i] = clientLine{Client: c.Client, Wakes: c.Wakes, Service: c.Service, Last: momentOf(c.Last, now)}
		if c.Client == "" {
			lines[i].Client = "not recorded"
		}
	}
	return lines
}

// detailSources is what the details show of a machine besides its status.
type detailSources struct {
	Why     []whyLine
	Strip   []stripDay
	Clients []clientWakes
	Pause   *pauseCell // nil: it cannot be paused
}
