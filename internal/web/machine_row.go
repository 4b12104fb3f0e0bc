package web

import (
	"fmt"
	"strings"
	"time"

	"nightporter/internal/machine"
)

// row is a machine on the page.
type row struct {
	Name     string
	Addr     string
	More     int    // further addresses
	Stuck    string // an address that cannot be claimed, and why
	Standing string // the same without why; stands in place of Addr
	State    machine.State
	Icon     string // id of a symbol of the page
	Failed   bool   // its last wake failed, and it has not been up since
	Since    moment
	For      string
	Wake     *wakeCell // nil: never woken
	Week     weekCell
	Saved    string
	Money    string // empty without a price
	URL      string
	Board    string // its dashboard in Grafana; empty: none
	Do       string // on the button
	Busy     bool   // the button has nothing to do
	Search   string // what the search box looks through
	Group    string
	Details  details

	slept time.Duration
}

// Paused returns until when the machine is left alone, or nil.
func (r *row) Paused() *moment {
	if r.Details.Pause == nil {
		return nil
	}
	return r.Details.Pause.Until
}

// Trouble reports whether the machine needs attention.
func (r *row) Trouble() bool { return r.Failed || r.Stuck != "" }

// wakeCell tells of a machine's last wake.
type wakeCell struct {
	At      moment
	Outcome string // what came of it, and how long that took
	Detail  string // more of that
	Why     string // who wanted what
	Class   string // class: "good", "bad" or empty
}

// weekCell tells how a machine slept in the last seven days.
type weekCell struct {
	Bars  []bar
	Today string
	Share string // of the week
	Text  string // all of it, for those who do not see the bars
}

// bar is one day, in the units of the picture: 24 hours are barHeight high.
type bar struct {
	X, Y, Height string
	Title        string
	Today        bool
}

const (
	barStep   = 12
	barHeight = 32
)

// rowOf returns the row of a machine that was last seen to come up at up.
func rowOf(s *machine.Status, t detailSources, look *Look, up, now time.Time) row {
	r := row{
		Name: s.Name, State: s.State, Icon: s.State.String(), Failed: failed(s, up),
		Since: momentOf(s.Since, now), For: "under a minute",
		Wake: wakeCellOf(&s.LastWake, now), Saved: Energy(s.SavedJoules(now)), Money: look.Price.of(s.SavedJoules(now)),
		URL: look.Machines[s.MAC].URL, Group: look.Machines[s.MAC].Group, Board: look.board(s.Name), Do: "Wake",
	}
	if d := now.Sub(s.Since); d >= time.Minute {
		r.For = span(d)
	}
	if r.Failed {
		r.Icon = "trouble"
	}
	switch s.State {
	case machine.Waking:
		r.Do, r.Busy = "Waking", true
	case machine.Arriving:
		r.Do, r.Busy = "Arriving", true
	}
	if a := arrivalOf(&s.Arrival); a != nil && s.LastWake.Outcome == machine.UnderWay {
		r.Wake.Outcome = NotReady(a.NotReady) + " yet"
		r.Wake.Detail = a.InWords(now)
	}
	r.setAddresses(s.Addresses)
	if awaitsRegistration(s) && r.Stuck == "" {
		r.Stuck = "waits for its first registration"
	}
	r.setWeek(s.SleptDays(now), now)
	r.Details = detailsOf(s, t, now)
	r.Busy = r.Busy || r.Paused() != nil
	r.Search = strings.ToLower(strings.Join(append([]string{r.Name, r.Group, s.MAC.String()}, texts(s.Addrs())...), " "))
	return r
}

// setAddresses shows the first address, or the first that cannot be claimed.
func (r *row) setAddresses(all []machine.AddressStatus) {
	for i := range all {
		if why := stuck(&all[i]); why != "" && r.Stuck == "" {
			r.Stuck = all[i].IP.String() + " " + why
			r.Standing, _, _ = strings.Cut(r.Stuck, ": ")
		}
	}
	if len(all) > 0 {
		r.Addr, r.More = all[0].IP.String(), len(all)-1
	}
}

func wakeCellOf(w *machine.LastWake, now time.Time) *wakeCell {
	if w.At.IsZero() {
		return nil
	}
	c := &wakeCell{At: momentOf(w.At, now), Why: whyWoken(w)}
	switch w.Outcome {
	case machine.UnderWay:
		c.Outcome = "under way" + ifAny(", ", rounds(w.Attempts))
	case machine.Served:
		c.Outcome, c.Class = "ready in "+seconds(w.Ready), "good"
	case machine.Unready:
		c.Outcome, c.Class = "not ready after "+seconds(w.Ready), "bad"
	case machine.GivenUp:
		c.Outcome, c.Class = DidNotWake(w.Attempts), "bad"
	default:
		c.Outcome = "ended without the porter"
	}
	c.Detail = c.Outcome
	return c
}

// setWeek shows how a machine slept in the last days, of which the last is today.
func (r *row) setWeek(days [machine.Week]machine.Day, now time.Time) {
	c := &r.Week
	texts := make([]string, len(days))
	for i, d := range days {
		last := i == len(days)-1
		height := barHeight * min(1, d.Slept.Hours()/24) // a day may have 25 hours
		title := weekday(d.Date) + ": asleep " + span(d.Slept)
		c.Bars = append(c.Bars, bar{
			X: fmt.Sprint(i * barStep), Y: fmt.Sprintf("%.1f", barHeight-height), Height: fmt.Sprintf("%.1f", height),
			Title: title, Today: last,
		})
		texts[i] = title
		r.slept += d.Slept
		if last {
			c.Today = span(d.Slept)
		}
	}
	c.Share = percent(r.slept, weekSoFar(now))
	c.Text = "Asleep each day: " + strings.Join(texts, ", ")
}

// weekSoFar is how long the days have lasted that SleptDays tells of.
func weekSoFar(now time.Time) time.Duration {
	y, m, d := now.Date()
	return now.Sub(time.Date(y, m, d-(machine.Week-1), 0, 0, 0, 0, now.Location()))
}
