package web

import (
	"bytes"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"
)

// shownEvents is how many events the page has at most.
const shownEvents = 100

// page is what people see at /: which machine is in which state, what that saves,
// and what happened. It is whole without its script, which fetches it again when
// something has happened, and takes over what differs: so there is one place that
// says things in words, and one that makes names of the LAN harmless, the template.
type page struct {
	house    House
	log      *slog.Logger
	now      func() time.Time
	version  string
	template *template.Template
}

// pageData is what the template reads.
type pageData struct {
	Version  string
	Now      moment
	Zone     string // the porter's
	Last     uint64 // Seq of the newest event shown: the script follows from there
	Troubles []string

	Asleep      int
	Week, Saved string // of all machines
	Machines    []row
	Events      []line
}

func newPage(opts Options) (*page, error) {
	// html/template, because names and addresses come from the LAN.
	t, err := template.ParseFS(files, "page/index.html")
	if err != nil {
		return nil, fmt.Errorf("status page: %w", err)
	}
	return &page{house: opts.House, log: quietly(opts.Log), now: opts.Now, version: opts.Version, template: t}, nil
}

// ServeHTTP implements http.Handler.
func (p *page) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	var body bytes.Buffer
	if err := p.template.Execute(&body, p.data()); err != nil {
		p.log.Error("status page failed", "event", "page_failed", "err", err)
		text(w, http.StatusInternalServerError, "the page cannot be shown; see the log")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(body.Bytes()) // an error here is the client's going away
}

func (p *page) data() *pageData {
	// The events first: what happens meanwhile is then news for the script,
	// whatever the rows say of it already.
	happened := p.house.Events(0, "", shownEvents)
	now := p.now()
	d := &pageData{
		Version: p.version, Now: toSecond(now, now), Zone: now.Local().Format("MST, -07:00"), Troubles: p.troubles(),
	}
	for i := len(happened) - 1; i >= 0; i-- {
		d.Events = append(d.Events, lineOf(&happened[i], now))
		d.Last = max(d.Last, happened[i].Seq)
	}
	var week time.Duration
	var joules float64
	all := sorted(p.house.Machines())
	for i := range all {
		r := rowOf(&all[i], now)
		d.Machines = append(d.Machines, r)
		if r.sleeps {
			d.Asleep++
		}
		week += r.Week.slept
		joules += all[i].SavedJoules(now)
	}
	d.Week, d.Saved = amount(week), Energy(joules)
	return d
}

// troubles says what needs somebody, as /api/v1/status does.
func (p *page) troubles() []string {
	var all []string
	if err := p.house.Ready(); err != nil {
		all = append(all, "Not ready: "+err.Error())
	}
	if g := p.house.Guard(); !g.Active && g.Reason != "" {
		all = append(all, "No guard: "+g.Reason)
	}
	if s := p.house.Storage(); !s.Healthy && s.Reason != "" {
		all = append(all, "Not stored: "+s.Reason)
	}
	return all
}
