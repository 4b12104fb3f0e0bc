package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A refusal is the porter's sentence, after what was not done.
func TestRefusals(t *testing.T) {
	porter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"error": "it is out\u001b"}`)
	}))
	defer porter.Close()
	for line, want := range map[string]string{
		"pause nas --for 1h":           "nas was not paused",
		"resume nas":                   "nas was not resumed",
		"forget nas":                   "nas was not forgotten",
		"wake nas":                     "nas was not woken",
		"wake --mac 02:00:00:00:00:03": "02:00:00:00:00:03 was not woken",
		"status":                       "no status",
		"events":                       "no events",
	} {
		code, out, errs := program(t, append(strings.Fields(line), "--from", porter.URL)...)
		if code != 1 || out != "" || errs != "nightporter: "+want+": it is out\uFFFD\n" {
			t.Errorf("%s: exit code %d, %q, %q", line, code, out, errs)
		}
	}
}
