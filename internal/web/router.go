package web

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// router is a mux that remembers what it was given, which is how a test finds all
// routes.
type router struct {
	http.ServeMux
	given    map[string]http.Handler // by pattern, as in "GET /metrics"
	notFound http.HandlerFunc        // for people
}

// ServeHTTP implements http.Handler.
func (m *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && accepts(r, "text/html") {
		if _, pattern := m.Handler(r); pattern == "" {
			m.notFound(w, r)
			return
		}
	}
	m.ServeMux.ServeHTTP(w, r)
}

func (m *router) add(pattern string, h http.Handler) {
	m.Handle(pattern, h)
	m.given[pattern] = h
}

func (m *router) addFunc(pattern string, h http.HandlerFunc) { m.add(pattern, h) }

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
