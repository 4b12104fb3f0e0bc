package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// What the client reads is what the server wrote, field by field.
func TestClientReadsMachines(t *testing.T) {
	h := &fakeBackend{machines: []machine.Status{nas(), named("b\u00f6se Maus/50%?#")}, ready: errors.New("starting"), guard: guard.Status{Mode: "auto", Reason: "none"}}
	srv := httptest.NewServer(newServer(t, options(h)).Handler())
	defer srv.Close()
	c := newAsker(t, srv.URL)
	m, err := c.Machine(t.Context(), "nas")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(nasJSON), indent(t, b)); diff != "" {
		t.Errorf("machine (-want +got):\n%s", diff)
	}
	all, err := c.Machines(t.Context())
	if err != nil || len(all) != 2 || all[1].Name != "nas" || all[1].State != machine.Asleep {
		t.Errorf("%v, %v", all, err)
	}
	for _, m := range all {
		if woken, err := c.Wake(t.Context(), m.Name); err != nil || woken.Name != m.Name {
			t.Errorf("%q: %v, %v", m.Name, woken, err)
		}
	}
	if got := strings.Join(h.done, ", "); got != "wake b\u00f6se Maus/50%?#, wake nas" {
		t.Errorf("did %q", got)
	}
	if why, err := c.Why(t.Context(), "nas"); err != nil || why.Machine != "nas" || len(why.Lines) < 3 || why.Lines[0].Topic != "state" {
		t.Errorf("why: %+v, %v", why, err)
	}
	s, err := c.Status(t.Context())
	want := web.Status{Version: "1.2.3", Reason: "starting", Guard: h.guard, Config: web.ConfigState{Healthy: true, Loaded: s.Config.Loaded}}
	if err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("%v, %v; want %v", s, err, want)
	}
	for _, ask := range []func() error{
		func() error { _, err := c.Machine(t.Context(), "tv"); return err },
		func() error { _, err := c.Why(t.Context(), "tv"); return err },
		func() error { _, err := c.Wake(t.Context(), "tv"); return err },
	} {
		if err := ask(); !errors.Is(err, machine.ErrUnknown) {
			t.Errorf("%v, want that it is unknown", err)
		}
	}
}

// A failed wake is shown until the machine is up, as on the page.
func TestClientReadsFailedWakes(t *testing.T) {
	s := nas()
	s.State, s.LastWake.Outcome, s.LastWake.Test = machine.Asleep, machine.GivenUp, false
	for kind, want := range map[journal.Kind]bool{journal.Settling: true, journal.ExternalStart: false} {
		h := &fakeBackend{machines: []machine.Status{s, named("pc")}}
		h.tell(journal.Event{At: s.LastWake.At.Add(time.Minute), Kind: kind, Machine: "nas"})
		srv := httptest.NewServer(newServer(t, options(h)).Handler())
		c := newAsker(t, srv.URL)
		one, err := c.Machine(t.Context(), "nas")
		all, allErr := c.Machines(t.Context())
		if err != nil || allErr != nil || one.WakeFailed != want || all[0].WakeFailed != want || all[1].WakeFailed {
			t.Errorf("after %s: %v, %v, %+v, %+v", kind, err, allErr, one, all)
		}
		srv.Close()
	}
}

// The 404 of another server is not an unknown machine.
func TestClientIsElsewhere(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	_, err := newAsker(t, srv.URL).Machine(t.Context(), "nas")
	want := srv.URL + ": no machine: 404 Not Found: is it nightporter, and not older than this command?"
	if err == nil || err.Error() != want || errors.Is(err, machine.ErrUnknown) {
		t.Errorf("%v, want %s", err, want)
	}
	for body, want := range map[string]string{
		"{}":                   "",
		`{"state":"dreaming"`:  "cannot read the response: unexpected EOF",
		`{"state":"dreaming"}`: `cannot read the response: state: found "dreaming", expected one of [awake settling asleep waking arriving]`,
		"[]":                   "cannot read the response: json: cannot unmarshal array",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, body)
		}))
		_, err := newAsker(t, srv.URL).Machine(t.Context(), "nas")
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), srv.URL+": "+want)) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
		srv.Close()
	}
}

// A name is found however a terminal spells it.
func TestClientSpellsNames(t *testing.T) {
	m := nas()
	m.Name = "Caf\u00e9"
	srv := httptest.NewServer(newServer(t, options(&fakeBackend{machines: []machine.Status{m}})).Handler())
	defer srv.Close()
	if got, err := newAsker(t, srv.URL).Machine(t.Context(), "Cafe\u0301"); err != nil || got.Name != m.Name {
		t.Errorf("%q, error %v", got.Name, err)
	}
}

// The token goes only with requests that need it, and only to the porter.
func TestClientKeepsTheToken(t *testing.T) {
	var seen []string
	note := func(r *http.Request) {
		user, _, _ := r.BasicAuth()
		seen = append(seen, fmt.Sprintf("%s %s %q %q %s", r.Method, r.URL.Path, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), r.Header.Get(web.TokenHeader), user))
	}
	porter := newServer(t, options(&fakeBackend{machines: []machine.Status{nas()}})).Handler()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note(r)
		porter.ServeHTTP(w, r)
	}))
	defer srv.Close()
	ask := func(from string) error {
		c := newAsker(t, from)
		c.SetToken(secret)
		if _, err := c.Machine(t.Context(), "nas"); err != nil {
			return err
		}
		_, err := c.Wake(t.Context(), "nas")
		return err
	}
	if err := ask(srv.URL); err != nil {
		t.Error(err)
	}
	if err := ask(strings.Replace(srv.URL, "://", "://anna:x@", 1)); err != nil {
		t.Error(err)
	}
	want := []string{
		`GET /api/v1/machines/nas "" "" `,
		`POST /api/v1/machines/nas/wake "open sesame" "" `,
		`GET /api/v1/machines/nas "Basic YW5uYTp4" "" anna`,
		`POST /api/v1/machines/nas/wake "Basic YW5uYTp4" "open sesame" anna`,
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	seen = nil
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer away.Close()
	c := newAsker(t, strings.Replace(away.URL, "://", "://anna:x@", 1))
	c.SetToken(secret)
	_, err := c.Wake(t.Context(), "nas")
	if err == nil || !strings.Contains(err.Error(), `redirect to "localhost": expected the porter itself`) || len(seen) != 0 {
		t.Errorf("%v, and another server saw %q", err, seen)
	}
	loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer loop.Close()
	if _, err := newAsker(t, loop.URL).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "3 redirects: expected the porter itself") {
		t.Errorf("%v, want a limit of redirects", err)
	}
}
