package web

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"nightporter/internal/machine"
)

// shownAddrs is how many addresses a row has room for, and as many again that cannot
// be claimed.
const shownAddrs = 2

// row is a machine on the page.
type row struct {
	Name   string
	Addrs  []string
	Stuck  []string // addresses that cannot be claimed, and why
	State  machine.State
	Since  moment
	For    string
	Wake   *wakeCell // nil: never woken
	Week   weekCell
	Saved  string
	Do     string // on the button
	Busy   bool   // the button has nothing to do
	sleeps bool
}

// wakeCell tells of a machine's last wake.
type wakeCell struct {
	At      moment
	Outcome string // what came of it, and how long that took
	Why     string // who wanted what
	Mood    string // class: "good", "bad" or empty
}

// weekCell tells how a machine slept in the last seven days.
type weekCell struct {
	Bars       []bar
	Today, All string
	Told       string // all of it, for those who do not see the bars
	slept      time.Duration
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

func rowOf(s *machine.Status, now time.Time) row {
	r := row{
		Name: s.Name, State: s.State, sleeps: s.State == machine.Asleep,
		Since: toMinute(s.Since, now), For: "under a minute",
		Wake: wakeCellOf(&s.LastWake, now), Week: weekCellOf(s.SleptDays(now)),
		Saved: Energy(s.SavedJoules(now)), Do: "Wake",
	}
	if d := now.Sub(s.Since); d >= time.Minute {
		r.For = span(d)
	}
	if s.State == machine.Waking || s.State == machine.Arriving {
		r.Do, r.Busy = "Waking", true
	}
	var quiet, stuck []string
	for _, a := range s.Addresses {
		switch a.Standing {
		case machine.Waiting:
			stuck = append(stuck, a.IP.String()+" waits: "+a.Reason)
		case machine.Conceded:
			stuck = append(stuck, a.IP.String()+" is left alone: "+a.Reason)
		default:
			quiet = append(quiet, a.IP.String())
		}
	}
	r.Addrs, r.Stuck = shortened(quiet), shortened(stuck)
	return r
}

// shortened leaves out what a row has no room for.
func shortened(lines []string) []string {
	if len(lines) <= shownAddrs {
		return lines
	}
	return append(lines[:shownAddrs-1], fmt.Sprintf("and %d more", len(lines)-shownAddrs+1))
}

func wakeCellOf(w *machine.LastWake, now time.Time) *wakeCell {
	if w.At.IsZero() {
		return nil
	}
	c := &wakeCell{At: toMinute(w.At, now), Why: whyWoken(w)}
	switch w.Outcome {
	case machine.UnderWay:
		c.Outcome = "under way" + ifAny(", ", packets(w.Attempts))
	case machine.Served:
		c.Outcome, c.Mood = "ready in "+seconds(w.Ready)+firstSign(w.Boot), "good"
	case machine.Unready:
		c.Outcome, c.Mood = "not ready after "+seconds(w.Ready)+firstSign(w.Boot), "bad"
	case machine.GivenUp:
		c.Outcome, c.Mood = "failed"+ifAny(" after ", packets(w.Attempts)), "bad"
	default:
		c.Outcome = "ended without the porter"
	}
	return c
}

// firstSign tells when the machine was first heard, if that is known.
func firstSign(boot time.Duration) string {
	if boot <= 0 {
		return ""
	}
	return " · boot " + seconds(boot)
}

func packets(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 magic packet"
	}
	return fmt.Sprintf("%d magic packets", n)
}

// whyWoken says who wanted what of a machine. Journals of older versions know
// nothing of that.
func whyWoken(w *machine.LastWake) string {
	switch {
	case !w.Known():
		return "nobody knows for whom"
	case w.Trigger == machine.BySchedule:
		return "on schedule"
	case w.Trigger == machine.ByAPI:
		return "asked for" + ifAny(" by ", hostPart(w.By))
	}
	who := "somebody"
	if w.Source.Addr().IsValid() {
		who = w.Source.Addr().String() // a client's port tells nothing
	}
	return who + " for " + w.Service.Port.String() // of which of its addresses, the events tell
}

// hostPart leaves out the port of an address, if it is one.
func hostPart(s string) string {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Addr().String()
	}
	return s
}

func weekCellOf(days [7]machine.Day) weekCell {
	var c weekCell
	told := make([]string, len(days))
	for i, d := range days {
		last := i == len(days)-1
		height := barHeight * min(1, d.Slept.Hours()/24) // a day may have 25 hours
		title := d.Date + ": " + amount(d.Slept)
		c.Bars = append(c.Bars, bar{
			X: fmt.Sprint(i * barStep), Y: fmt.Sprintf("%.1f", barHeight-height), Height: fmt.Sprintf("%.1f", height),
			Title: title, Today: last,
		})
		told[i] = title
		c.slept += d.Slept
		if last {
			c.Today = amount(d.Slept)
		}
	}
	c.All = amount(c.slept)
	c.Told = "Slept each day: " + strings.Join(told, ", ")
	return c
}
