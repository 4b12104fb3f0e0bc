package web

import (
	"net/http"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// historyJSON is the last week of a machine as the API shows it.
type historyJSON struct {
	Days      []dayHistoryJSON `json:"days"`       // a week of them, oldest first; the last is today
	Clients   []clientJSON     `json:"clients"`    // most wakes first
	MoreWakes int              `json:"more_wakes"` // older wakes, which are not listed
}

type dayHistoryJSON struct {
	Date  string     `json:"date"` // 2026-11-22
	Spans []spanJSON `json:"spans"`
	Wakes []wakeJSON `json:"wakes"`
}

type spanJSON struct {
	From  string        `json:"from"` // RFC 3339
	To    string        `json:"to"`
	State journal.Phase `json:"state"`
}

type wakeJSON struct {
	At      string          `json:"at"` // RFC 3339
	Outcome machine.Outcome `json:"outcome"`
	Trigger string          `json:"trigger"`
	Client  string          `json:"client,omitempty"`
	Service string          `json:"service,omitempty"`
}

// clientJSON is how often one client woke a machine in the last week.
type clientJSON struct {
	Client  string `json:"client"` // empty: not known
	Wakes   int    `json:"wakes"`
	Last    string `json:"last"`              // RFC 3339
	Service string `json:"service,omitempty"` // of the last wake
}

func historyOf(h *journal.MachineHistory, now time.Time) historyJSON {
	days := h.Days(now)
	out := historyJSON{Days: make([]dayHistoryJSON, len(days)), Clients: []clientJSON{}, MoreWakes: h.More}
	for i := range days {
		d := &days[i]
		day := dayHistoryJSON{Date: d.Date, Spans: []spanJSON{}, Wakes: []wakeJSON{}}
		for _, s := range d.Spans {
			day.Spans = append(day.Spans, spanJSON{rfc3339(s.From), rfc3339(s.To), s.Phase})
		}
		for _, w := range d.Wakes {
			day.Wakes = append(day.Wakes, wakeJSON{rfc3339(w.At), w.Outcome, w.Trigger.String(), w.Client, w.Service})
		}
		out.Days[i] = day
	}
	for _, c := range wakesByClient(days[:]) {
		out.Clients = append(out.Clients, clientJSON{c.Client, c.Wakes, rfc3339(c.Last), c.Service})
	}
	return out
}

// machineHistory answers with the last week of a machine.
func (a *api) machineHistory(w http.ResponseWriter, r *http.Request) {
	a.withMachine(w, r.PathValue("name"), func(s *machine.Status, now time.Time) {
		h := a.backend.History(s.MAC)
		a.write(w, http.StatusOK, historyOf(&h, now))
	})
}
