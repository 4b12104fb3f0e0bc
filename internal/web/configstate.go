package web

import "time"

// ConfigState says whether the configuration in effect is the one that was to be loaded
// last, as the API shows it.
type ConfigState struct {
	Healthy bool      `json:"healthy"`
	Reason  string    `json:"reason"` // why the last one was not taken over
	Loaded  time.Time `json:"loaded"` // when the one in effect was
}
