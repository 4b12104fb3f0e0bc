package web

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

const (
	// maxShownEvents is how many events the page has at most.
	maxShownEvents = 100
	// maxRowEvents is how many of them a machine's row has.
	maxRowEvents = 5
	// searchFrom is from how many machines on the page can be searched.
	searchFrom = 12
)

// page is what people see at /: which machine is in which state, what that saves,
// and what events. It is whole without its script, which fetches it again when
// something has events, and takes over what differs: so there is one place that
// says things in words, and one that makes names of the LAN harmless, the template.
type page struct {
	backend   Backend
	log       *slog.Logger
	now       func() time.Time
	version   string
	look      func() *Look
	config    func() *ConfigState
	addresses guideAddresses
	template  *template.Template
}

// pageData is what the template reads.
type pageData struct {
	Version string
	Now     moment
	Zone    string // the porter's
	Last    uint64 // Seq of the newest event shown: the script follows from there
	Notices []notice
	Links   []link

	Sum    totals
	Many   bool // there are enough machines to search them
	Groups []group
	Guide  *guide // nil: there are machines
	Events []line
}

// totals are the figures of all machines together.
type totals struct {
	Machines, Asleep, Awake, Trouble int

	Share, Saved, Money string

	Since *moment // when the first machine began to save; nil: not known of each
}

// group is the machines under one heading.
type group struct {
	Name string // empty: those without a group
	Rows []row
}

func newPage(opts Options, look func() *Look, config func() *ConfigState) (*page, error) {
	// html/template, because names and addresses come from the LAN.
	t, err := template.ParseFS(files, "page/*.html")
	if err != nil {
		return nil, fmt.Errorf("status page: %w", err)
	}
	return &page{
		backend: opts.Backend, log: limitLog(opts.Log), now: opts.Now, version: opts.Version, look: look, config: config,
		addresses: guideAddresses{opts.Networks, opts.Listen, opts.Registration}, template: t,
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
		text(w, http.StatusInternalServerError, "the page cannot be rendered: see the log")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(body.Bytes()) // an error here is the client's going away
}

func (p *page) data(r *http.Request) *pageData {
	// The events first: what happens meanwhile is then news for the script,
	// whatever the rows say of it already.
	events := p.backend.Events(0, "", MaxEvents)
	now, look, all := p.now(), p.look(), p.backend.Machines()
	d := &pageData{
		Version: p.version, Now: toSecond(now, now), Zone: now.Local().Format("MST, -07:00"), Links: look.links(),
		Notices: notices(p.backend, p.config(), all, events, now), Many: len(all) >= searchFrom,
	}
	if len(all) == 0 {
		d.Guide = p.addresses.guide(r)
	}
	for i := len(events) - 1; i >= max(0, len(events)-maxShownEvents); i-- {
		d.Events = append(d.Events, lineOf(&events[i], now))
		d.Last = max(d.Last, events[i].Seq)
	}
	own, up, rules := eventsByMachine(events, now), lastUp(events), p.backend.WakeRules()
	var rows []row
	var joules float64
	since := now
	for i := range all {
		r := rowOf(&all[i], p.detailSourcesOf(&all[i], rules, now), look, up[all[i].Name], now)
		r.Details.Events = own[r.Name]
		rows = append(rows, r)
		joules += all[i].SavedJoules(now)
		since = earlier(since, all[i].Counted)
	}
	d.Sum = totalsOf(rows, now)
	d.Sum.Saved, d.Sum.Money = Energy(joules), look.Price.of(joules)
	d.Sum.Since = knownMoment(since, now)
	d.Groups = grouped(rows)
	return d
}

// eventsByMachine returns the newest events of each machine, newest first.
func eventsByMachine(events []journal.Event, now time.Time) map[string][]line {
	own := make(map[string][]line)
	for i := len(events) - 1; i >= 0; i-- {
		if e := &events[i]; e.Machine != "" && len(own[e.Machine]) < maxRowEvents {
			own[e.Machine] = append(own[e.Machine], lineOf(e, now))
		}
	}
	return own
}

func totalsOf(rows []row, now time.Time) totals {
	s := totals{Machines: len(rows)}
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

// notFound tells people where the page is.
func (p *page) notFound(w http.ResponseWriter, r *http.Request) {
	// Relative, since a reverse proxy may have the page under a path of its own.
	home := "./" + strings.Repeat("../", max(0, strings.Count(r.URL.Path, "/")-1))
	p.write(w, http.StatusNotFound, "notfound.html", home)
}

// detailSourcesOf returns what is said of a machine.
func (p *page) detailSourcesOf(s *machine.Status, rules machine.WakeRules, now time.Time) detailSources {
	h := p.backend.History(s.MAC)
	days := h.Days(now)
	t := detailSources{Why: whyOf(s, rules, now), Strip: stripDays(days[:], now.Location()), Clients: wakesByClient(days[:])}
	switch {
	case !s.PausedUntil.IsZero():
		until := momentOf(s.PausedUntil, now)
		t.Pause = &pauseCell{Until: &until}
	case s.Agentless || !s.Registered.IsZero():
		t.Pause = new(pauseCell)
	}
	return t
}
