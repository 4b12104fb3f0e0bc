package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// actionTimeout bounds how long a client waits for the porter to take up what
// it asked for.
const actionTimeout = 5 * time.Second

// api serves /api. All its answers are JSON, the errors too:
// {"error": "what is wrong"}.
type api struct {
	house   House
	log     *slog.Logger
	now     func() time.Time
	version string
	config  func() *ConfigState
	ration  *ration
	gate    *gate
	maker   *maker
	streams *streams
}

func (a *api) addTo(mux *router) {
	for path, m := range a.paths() {
		mux.add(path, m)
	}
	mux.addFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, fmt.Sprintf("no such path: %s", r.URL.Path))
	})
}

// paths returns what the API serves, as openapi.yaml describes it.
func (a *api) paths() map[string]methods {
	// A client that guesses tokens uses up its ration, one that asks for a machine
	// that is not known does not.
	changing := func(h http.HandlerFunc) http.HandlerFunc { return a.ration.of(a.gate.of(h)) }
	guarded := func(h http.HandlerFunc) http.HandlerFunc { return a.known(changing(h)) }
	made := func(h http.HandlerFunc) http.HandlerFunc { return a.maker.of(h, inJSON()) }
	return map[string]methods{
		"/api/v1/openapi.yaml":            {http.MethodGet: description},
		"/api/v1/status":                  {http.MethodGet: a.status},
		"/api/v1/machines":                {http.MethodGet: made(a.list)},
		"/api/v1/machines/{name}":         {http.MethodGet: made(a.get), http.MethodDelete: guarded(a.forget)},
		"/api/v1/machines/{name}/history": {http.MethodGet: made(a.machineHistory)},
		"/api/v1/machines/{name}/wake":    {http.MethodPost: guarded(a.wake)},
		"/api/v1/machines/{name}/why":     {http.MethodGet: made(a.why)},
		"/api/v1/machines/{name}/pause":   {http.MethodPost: guarded(a.pause), http.MethodDelete: guarded(a.unpause)},
		"/api/v1/wake":                    {http.MethodPost: changing(a.wakeMAC)},
		"/api/v1/events":                  {http.MethodGet: a.events(made(a.past))},
	}
}

// methods serves one path, by method. It stands in for the mux's own choice by
// method, whose errors are plain text.
type methods map[string]http.HandlerFunc

// ServeHTTP implements http.Handler.
func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http leaves the body out
	}
	if h, ok := m[method]; ok {
		h(w, r)
		return
	}
	allowed := slices.Collect(maps.Keys(m))
	if _, ok := m[http.MethodGet]; ok {
		allowed = append(allowed, http.MethodHead)
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	w.Header().Set("Allow", allow)
	writeError(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s is not allowed here: expected %s", r.Method, allow))
}

// Status tells how a porter is, as opposed to its machines.
type Status struct {
	Version string         `json:"version"`
	Ready   bool           `json:"ready"`
	Reason  string         `json:"reason"` // why it is not ready
	Guard   guard.Status   `json:"guard"`
	Journal journal.Health `json:"journal"`
	Config  ConfigState    `json:"config"`
}

func (a *api) status(w http.ResponseWriter, _ *http.Request) {
	s := Status{Version: a.version, Ready: true, Guard: a.house.Guard(), Journal: a.house.Storage(), Config: *a.config()}
	if err := a.house.Ready(); err != nil {
		s.Ready, s.Reason = false, err.Error()
	}
	a.write(w, http.StatusOK, s)
}

func (a *api) list(w http.ResponseWriter, _ *http.Request) {
	now := a.now()
	all := sorted(a.house.Machines())
	out, up := make([]machineJSON, len(all)), a.lastUp(all)
	for i := range all {
		out[i] = toJSON(&all[i], up[all[i].Name], now)
	}
	a.write(w, http.StatusOK, out)
}

func (a *api) get(w http.ResponseWriter, r *http.Request) {
	a.writeMachine(w, http.StatusOK, r.PathValue("name"))
}

// known is next for machines that there are, and status 404 for others.
func (a *api) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, there := r.PathValue("name"), false
		err := a.maker.during(r, func() {
			there = slices.ContainsFunc(a.house.Machines(), func(s machine.Status) bool { return s.Name == name })
		})
		switch {
		case err != nil:
			writeError(w, http.StatusServiceUnavailable, lateMessage)
		case !there:
			writeError(w, http.StatusNotFound, unknown(name))
		default:
			next(w, r)
		}
	}
}

func (a *api) forget(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), actionTimeout)
	defer cancel()
	name := r.PathValue("name")
	if err := a.house.Forget(ctx, name, r.RemoteAddr); err != nil {
		a.fail(w, "forget", name, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *api) why(w http.ResponseWriter, r *http.Request) {
	a.withMachine(w, r.PathValue("name"), func(s *machine.Status, now time.Time) {
		a.write(w, http.StatusOK, Why{Machine: s.Name, Lines: whyOf(s, a.house.WakeRules(), now)})
	})
}

func (a *api) writeMachine(w http.ResponseWriter, status int, name string) {
	a.withMachine(w, name, func(s *machine.Status, now time.Time) {
		a.write(w, status, toJSON(s, a.lastUp([]machine.Status{*s})[s.Name], now))
	})
}

// lastUp returns when each machine came up last, if the last wake of one of them failed.
func (a *api) lastUp(all []machine.Status) map[string]time.Time {
	if !slices.ContainsFunc(all, func(s machine.Status) bool { return s.LastWake.Outcome == machine.GivenUp }) {
		return nil
	}
	return lastUp(a.house.Events(0, "", MaxEvents))
}

// withMachine answers with the machine of that name, or that there is none.
func (a *api) withMachine(w http.ResponseWriter, name string, answer func(*machine.Status, time.Time)) {
	now := a.now()
	all := a.house.Machines()
	i := slices.IndexFunc(all, func(s machine.Status) bool { return s.Name == name })
	if i < 0 {
		writeError(w, http.StatusNotFound, unknown(name))
		return
	}
	answer(&all[i], now)
}

// fail answers for an error of the House.
func (a *api) fail(w http.ResponseWriter, action, name string, err error) {
	switch {
	case errors.Is(err, machine.ErrUnknown):
		writeError(w, http.StatusNotFound, unknown(name))
	case errors.Is(err, ErrConflict):
		writeError(w, http.StatusConflict, err.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		writeError(w, http.StatusServiceUnavailable, "the porter did not take it up in time")
	default:
		a.log.Error("request failed", "event", "request_failed", "action", action, "machine", name, "err", err)
		writeError(w, http.StatusInternalServerError, err.Error())
	}
}

// notNamed begins the answer about a machine that is not known.
const notNamed = "no machine is named"

func unknown(name string) string { return fmt.Sprintf("%s %q", notNamed, name) }

// write sends v. It is encoded first, so that an error can still be told.
func (a *api) write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		a.log.Error("answer cannot be encoded", "event", "answer_failed", "err", err)
		writeError(w, http.StatusInternalServerError, "the answer cannot be encoded")
		return
	}
	writeJSON(w, status, body)
}

func writeError(w http.ResponseWriter, status int, message string) {
	body, _ := json.Marshal(struct { // one string: it cannot fail
		Error string `json:"error"`
	}{message})
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // an error here is the client's going away
}

// sorted returns the machines by name, and leaves its argument as it is: others
// may read it.
func sorted(all []machine.Status) []machine.Status {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b machine.Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}
