package web

import (
	"net/http"
	"time"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
)

// ConfigState says whether the configuration in effect is the one that was to be loaded
// last, as the API shows it.
type ConfigState struct {
	Healthy bool      `json:"healthy"`
	Reason  string    `json:"reason"`            // why the last one was not taken over
	Loaded  time.Time `json:"loaded"`            // when the one in effect was
	Restart []string  `json:"restart,omitempty"` // keys that differ from what the porter was started with, and wait for a restart
}

// Status tells how a porter is, as opposed to its machines.
type Status struct {
	Version string         `json:"version"`
	Ready   bool           `json:"ready"`
	Reason  string         `json:"reason"` // why it is not ready
	Guard   guard.Status   `json:"guard"`
	Journal journal.Health `json:"journal"`
	Config  ConfigState    `json:"config"`
}

func (a *api) status(w http.ResponseWriter, _ *http.Request) {
	s := Status{Version: a.version, Ready: true, Guard: a.backend.Guard(), Journal: a.backend.Storage(), Config: *a.config()}
	if err := a.backend.Ready(); err != nil {
		s.Ready, s.Reason = false, err.Error()
	}
	a.write(w, http.StatusOK, s)
}
