package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"nightporter/internal/machine"
)

// actionTimeout bounds how long a client waits for the porter to start the requested
// action.
const actionTimeout = 5 * time.Second

// api serves /api. All answers are JSON, also the errors: {"error": "reason"}.
type api struct {
	backend     Backend
	log         *slog.Logger
	now         func() time.Time
	version     string
	config      func() *ConfigState
	changeLimit *changeLimit
	auth        *authorizer
	renderer    *renderer
	streams     *streams
}

// known wraps next; a request for an unknown machine gets 404.
func (a *api) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, there := r.PathValue("name"), false
		err := a.renderer.inTurn(r, func() {
			there = slices.ContainsFunc(a.backend.Machines(), func(s machine.Status) bool { return s.Name == name })
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

// withMachine calls answer with the machine of that name; an unknown name gets 404.
func (a *api) withMachine(w http.ResponseWriter, name string, answer func(*machine.Status, time.Time)) {
	now := a.now()
	all := a.backend.Machines()
	i := slices.IndexFunc(all, func(s machine.Status) bool { return s.Name == name })
	if i < 0 {
		writeError(w, http.StatusNotFound, unknown(name))
		return
	}
	answer(&all[i], now)
}

// fail answers with the status for an error of the Backend.
func (a *api) fail(w http.ResponseWriter, action, name string, err error) {
	switch {
	case errors.Is(err, machine.ErrUnknown):
		writeError(w, http.StatusNotFound, unknown(name))
	case errors.Is(err, machine.ErrConflict):
		writeError(w, http.StatusConflict, err.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		writeError(w, http.StatusServiceUnavailable, "the porter did not start the action in time")
	default:
		a.log.Error("request failed", "event", "request_failed", "action", action, "machine", name, "err", err)
		writeError(w, http.StatusInternalServerError, err.Error())
	}
}

// notNamed is the beginning of the 404 error for an unknown machine. Client matches it.
const notNamed = "no machine is named"

func unknown(name string) string { return fmt.Sprintf("%s %q", notNamed, name) }

// write sends v. It encodes v first, so that an encoding error still gets status 500.
func (a *api) write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		a.log.Error("answer cannot be encoded", "event", "answer_failed", "err", err)
		writeError(w, http.StatusInternalServerError, "the answer cannot be encoded")
		return
	}
	writeJSON(w, status, body)
}
