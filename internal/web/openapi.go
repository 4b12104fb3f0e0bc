package web

import (
	_ "embed"
	"net/http"
)

// openAPI describes the API, for programs and for those who write them.
//
//go:embed openapi.yaml
var openAPI []byte

func description(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml") // RFC 9512
	w.Write(openAPI)                                   // an error here is the client's going away
}
