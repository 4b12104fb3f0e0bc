package web

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

func text(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, line)
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

// accepts reports whether r names a media type among those it accepts. One that
// is meant by */* only does not count.
func accepts(r *http.Request, mediaType string) bool {
	for _, line := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			if found, _, err := mime.ParseMediaType(part); err == nil && found == mediaType {
				return true
			}
		}
	}
	return false
}
