package web

import (
	"fmt"
	"net/http"
)

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
	changing := func(h http.HandlerFunc) http.HandlerFunc { return a.changeLimit.limit(a.auth.requireToken(h)) }
	guarded := func(h http.HandlerFunc) http.HandlerFunc { return a.known(changing(h)) }
	made := func(h http.HandlerFunc) http.HandlerFunc { return a.renderer.buffer(h, jsonErrors()) }
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
