package web

import (
	"context"
	"net/http"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// wake answers a request to wake a machine.
func (a *api) wake(w http.ResponseWriter, r *http.Request) {
	b, err := readBody(w, r)
	var q wakeRequest
	if err == nil {
		q, err = parseWake(b)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	act := a.backend.Wake
	if q.Test {
		act = a.backend.TestWake
	}
	a.act(w, r, "wake", http.StatusAccepted, func(ctx context.Context, name string) error { return act(ctx, name, r.RemoteAddr) })
}

// pause answers a request to pause a machine.
func (a *api) pause(w http.ResponseWriter, r *http.Request) {
	b, err := readBody(w, r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	until, err := parsePause(b, a.now())
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	a.act(w, r, "pause", http.StatusOK, func(ctx context.Context, name string) error {
		return a.backend.Pause(ctx, name, until, r.RemoteAddr)
	})
}

// unpause answers a request to end a pause.
func (a *api) unpause(w http.ResponseWriter, r *http.Request) {
	a.act(w, r, "resume", http.StatusOK, func(ctx context.Context, name string) error {
		return a.backend.Unpause(ctx, name, r.RemoteAddr)
	})
}

// act calls do for the machine in the path, and answers with the machine.
func (a *api) act(w http.ResponseWriter, r *http.Request, action string, done int, do func(ctx context.Context, name string) error) {
	ctx, cancel := context.WithTimeout(r.Context(), actionTimeout)
	defer cancel()
	name := r.PathValue("name")
	if err := do(ctx, name); err != nil {
		a.fail(w, action, name, err)
		return
	}
	a.writeMachine(w, done, name)
}

// macAnswer is the answer once a magic packet was sent.
type macAnswer struct {
	MAC ether.MAC `json:"mac"`
}

// wakeMAC answers a request to send a magic packet to a MAC that no machine has.
func (a *api) wakeMAC(w http.ResponseWriter, r *http.Request) {
	b, err := readBody(w, r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	var known []machine.Status
	if a.renderer.inTurn(r, func() { known = a.backend.Machines() }) != nil {
		writeError(w, http.StatusServiceUnavailable, lateMessage)
		return
	}
	mac, err := parseMAC(b, known)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), actionTimeout)
	defer cancel()
	if err := a.backend.WakeMAC(ctx, mac, r.RemoteAddr); err != nil {
		a.fail(w, "wake", mac.String(), err)
		return
	}
	a.write(w, http.StatusAccepted, macAnswer{mac})
}

func (a *api) forget(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), actionTimeout)
	defer cancel()
	name := r.PathValue("name")
	if err := a.backend.Forget(ctx, name, r.RemoteAddr); err != nil {
		a.fail(w, "forget", name, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
