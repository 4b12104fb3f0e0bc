package web

import (
	"embed"
	"net/http"
	"path"
)

//go:embed page
var files embed.FS

// contentTypes are those of the files that the page is made of, by what their names end
// with. Templates are not among them.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png",
	".webmanifest": "application/manifest+json",
}

// addFiles serves the files of the page.
func addFiles(mux *router) error {
	entries, err := files.ReadDir("page")
	if err != nil {
		return err
	}
	for _, e := range entries {
		contentType, ok := contentTypes[path.Ext(e.Name())]
		if !ok {
			continue
		}
		content, err := files.ReadFile("page/" + e.Name())
		if err != nil {
			return err
		}
		serve := func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Write(content) // an error here is the client's going away
		}
		mux.addFunc("GET /"+e.Name(), serve)
		if e.Name() == "icon-32.png" { // browsers request it without a link
			mux.addFunc("GET /favicon.ico", serve)
		}
	}
	return nil
}
