package web

import "time"

// ConfigState says whether the configuration in effect is the one that was to be loaded
// last, as the API shows it.
type ConfigState struct {
	Healthy bool      `json:"healthy"`
	Reason  string    `json:"reason"`            // why the last one was not taken over
	Loaded  time.Time `json:"loaded"`            // when the one in effect was
	Restart []string  `json:"restart,omitempty"` // keys that differ from what the porter was started with, and wait for a restart
}
