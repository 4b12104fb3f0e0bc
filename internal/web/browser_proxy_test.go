package web_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nightporter/internal/web"
)

// A reverse proxy may have the page under a path of its own, and show it in a frame of
// its own pages, as Home Assistant does.
func TestPageUnderAPath(t *testing.T) {
	h := newLiveBackend()
	own := newServer(t, web.Options{Backend: h, Gatherer: prometheus.NewRegistry(), Now: func() time.Time { return evening }}).Handler()
	proxy := http.NewServeMux()
	proxy.Handle("/api/ingress/x/", http.StripPrefix("/api/ingress/x", own))
	proxy.HandleFunc("/frame", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!DOCTYPE html><iframe src="api/ingress/x/"></iframe>`)
	})
	proxy.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/favicon.ico" {
			t.Errorf("asked for %s, which is not the page's", r.URL.Path)
		}
		http.NotFound(w, r)
	})
	b := browse(t, proxy)
	b.Go(home + "api/ingress/x/")
	b.Until(live)
	b.Click("[data-key=tower] .do button")
	says(b, "tower is being woken.")
	h.ready("tower")
	says(b, "tower is awake after 14.9 s.")
	var start, icon string
	b.Eval(`fetch(document.querySelector("link[rel=manifest]").href).then((r) => r.json()).then((m) => new URL(m.start_url, document.querySelector("link[rel=manifest]").href).pathname)`, &start)
	b.Eval(`fetch("icon-192.png").then((r) => r.headers.get("Content-Type"))`, &icon)
	if start != "/api/ingress/x/" || icon != "image/png" {
		t.Errorf("installed it starts at %s, with an icon of %s", start, icon)
	}
	content(t, b)

	b.Go(home + "frame")
	b.Until(`frames[0].document.getElementById("link")?.dataset.link === "live"`)
}
