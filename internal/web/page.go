package web

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

const (
	// shownEvents is how many events the page has at most.
	shownEvents = 100
	// ownEvents is how many of them a machine's row has.
	ownEvents = 5
	// manyMachines is from how many machines on the page can be searched.
	manyMachines = 12
)

// page is what people see at /: which machine is in which state, what that saves,
// and what happened. It is whole without its script, which fetches it again when
// something has happened, and takes over what differs: so there is one place that
// says things in words, and one that makes names of the LAN harmless, the template.
type page struct {
	house        House
	log          *slog.Logger
	now          func() time.Time
	version      string
	look         func() *Look
	config       func() *ConfigState
	networks     func() []Network
	listen       []string
	registration []string
	template     *template.Template
}

// pageData is what the template reads.
type pageData struct {
	Version string
	Now     moment
	Zone    string // the porter's
	Last    uint64 // Seq of the newest event shown: the script follows from there
	Notices []notice
	Links   []link

	Sum    sum
	Many   bool // there are enough machines to search them
	Groups []group
	Guide  *guide // nil: there are machines
	Events []line
}

// sum is what is told of all machines together.
type sum struct {
	Machines, Asleep, Awake, Trouble int

	Share, Saved, Money string

	Since *moment // when the first machine began to save; nil: not known of each
}

// group is the machines under one heading.
type group struct {
	Name string // empty: those without a group
	Rows []row
}

func (s *Server) newPage() (*page, error) {
	// html/template, because names and addresses come from the LAN.
	t, err := template.ParseFS(files, "page/*.html")
	if err != nil {
		return nil, fmt.Errorf("status page: %w", err)
	}
	opts := s.opts
	return &page{
		house: opts.House, log: quietly(opts.Log), now: opts.Now, version: opts.Version, look: s.look.Load, config: s.config.Load,
		networks: opts.Networks, listen: opts.Listen, registration: opts.Registration, template: t,
	}, nil
}

// ServeHTTP implements http.Handler.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.write(w, http.StatusOK, "index.html", p.data(r))
}

func (p *page) write(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := p.template.ExecuteTemplate(&body, name, data); err != nil {
		p.log.Error("status page failed", "event", "page_failed", "err", err)
		text(w, http.StatusInternalServerError, "the page cannot be shown; see the log")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(body.Bytes()) // an error here is the client's going away
}

func (p *page) data(r *http.Request) *pageData {
	// The events first: what happens meanwhile is then news for the script,
	// whatever the rows say of it already.
	happened := p.house.Events(0, "", MaxEvents)
	now, look, all := p.now(), p.look(), p.house.Machines()
	d := &pageData{
		Version: p.version, Now: toSecond(now, now), Zone: now.Local().Format("MST, -07:00"), Links: look.links(),
		Notices: p.notices(all, happened, now), Many: len(all) >= manyMachines,
	}
	if len(all) == 0 {
		d.Guide = p.guide(r)
	}
	for i := len(happened) - 1; i >= max(0, len(happened)-shownEvents); i-- {
		d.Events = append(d.Events, lineOf(&happened[i], now))
		d.Last = max(d.Last, happened[i].Seq)
	}
	own, up, rules := eventsByMachine(happened, now), lastUp(happened), p.house.WakeRules()
	var rows []row
	var joules float64
	since := now
	for i := range all {
		r := rowOf(&all[i], p.toldOf(&all[i], rules, now), look, up[all[i].Name], now)
		r.Details.Events = own[r.Name]
		rows = append(rows, r)
		joules += all[i].SavedJoules(now)
		since = earlier(since, all[i].Counted)
	}
	d.Sum = sumOf(rows, now)
	d.Sum.Saved, d.Sum.Money = Energy(joules), look.Price.of(joules)
	d.Sum.Since = knownMoment(since, now)
	d.Groups = grouped(rows)
	return d
}

// eventsByMachine returns the newest events of each machine, newest first.
func eventsByMachine(happened []journal.Event, now time.Time) map[string][]line {
	own := make(map[string][]line)
	for i := len(happened) - 1; i >= 0; i-- {
		if e := &happened[i]; e.Machine != "" && len(own[e.Machine]) < ownEvents {
			own[e.Machine] = append(own[e.Machine], lineOf(e, now))
		}
	}
	return own
}

// lastUp returns when each machine came up last, as far as that is remembered.
func lastUp(happened []journal.Event) map[string]time.Time {
	up := make(map[string]time.Time)
	for i := range happened {
		if e := &happened[i]; e.Kind == journal.Ready || e.Kind == journal.Awake || e.Kind == journal.HandStart {
			up[e.Machine] = e.At
		}
	}
	return up
}

func sumOf(rows []row, now time.Time) sum {
	s := sum{Machines: len(rows)}
	var slept time.Duration
	for i := range rows {
		if rows[i].State == machine.Asleep {
			s.Asleep++
		}
		if rows[i].Trouble() {
			s.Trouble++
		}
		slept += rows[i].slept
	}
	s.Awake = s.Machines - s.Asleep
	s.Share = percent(slept, time.Duration(len(rows))*weekSoFar(now))
	return s
}

// grouped puts the rows under their headings: those that failed first, then by name.
func grouped(rows []row) []group {
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(naturally(a.Group, b.Group), -compareBool(a.Failed, b.Failed), naturally(a.Name, b.Name))
	})
	var groups []group
	for i := range rows {
		if last := len(groups) - 1; last < 0 || groups[last].Name != rows[i].Group {
			groups = append(groups, group{Name: rows[i].Group})
		}
		g := &groups[len(groups)-1]
		g.Rows = append(g.Rows, rows[i])
	}
	if len(groups) > 1 && groups[0].Name == "" { // what has no group comes last
		groups = append(groups[1:], groups[0])
	}
	return groups
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
