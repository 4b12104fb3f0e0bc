package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter/internal/machine"
)

func (a *api) list(w http.ResponseWriter, _ *http.Request) {
	now := a.now()
	all := sorted(a.backend.Machines())
	out, up := make([]machineJSON, len(all)), a.lastUp(all)
	for i := range all {
		out[i] = toJSON(&all[i], up[all[i].Name], now)
	}
	a.write(w, http.StatusOK, out)
}

func (a *api) get(w http.ResponseWriter, r *http.Request) {
	a.writeMachine(w, http.StatusOK, r.PathValue("name"))
}

func (a *api) why(w http.ResponseWriter, r *http.Request) {
	a.withMachine(w, r.PathValue("name"), func(s *machine.Status, now time.Time) {
		a.write(w, http.StatusOK, Why{Machine: s.Name, Lines: whyOf(s, a.backend.WakeRules(), now)})
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
	return lastUp(a.backend.Events(0, "", MaxEvents))
}

// sorted returns the machines by name, and leaves its argument as it is: others
// may read it.
func sorted(all []machine.Status) []machine.Status {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b machine.Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}
