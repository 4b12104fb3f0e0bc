package web

import (
	"bytes"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"

	"nightporter/internal/machine"
)

// landing is the page at /: what this is, where the rest is, and which machine
// is in which state. It needs no script.
type landing struct {
	house    House
	log      *slog.Logger
	version  string
	template *template.Template
}

// landingData is what the template reads.
type landingData struct {
	Version  string
	Machines []landingRow
}

type landingRow struct {
	Name  string
	State machine.State
	Since string // RFC 3339
	Shown string // the same, for people
}

func newLanding(opts Options) (*landing, error) {
	// html/template, because names and addresses come from the LAN.
	t, err := template.ParseFS(files, "page/index.html")
	if err != nil {
		return nil, fmt.Errorf("landing page: %w", err)
	}
	return &landing{house: opts.House, log: opts.Log, version: opts.Version, template: t}, nil
}

// ServeHTTP implements http.Handler.
func (l *landing) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	data := landingData{Version: l.version}
	for _, s := range sorted(l.house.Machines()) {
		data.Machines = append(data.Machines, landingRow{
			Name:  s.Name,
			State: s.State,
			Since: rfc3339(s.Since),
			Shown: s.Since.Local().Format("2006-01-02 15:04:05 MST"),
		})
	}
	var page bytes.Buffer
	if err := l.template.Execute(&page, data); err != nil {
		l.log.Error("landing page failed", "err", err)
		text(w, http.StatusInternalServerError, "the page cannot be shown; see the log")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(page.Bytes()) // an error here is the client's going away
}
