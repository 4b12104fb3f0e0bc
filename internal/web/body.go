package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// maxBodyBytes bounds the body of a request, in bytes.
const maxBodyBytes = 4 << 10

// readBody returns the body of a request, without surrounding white space.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		return nil, fmt.Errorf("body: found more than %d bytes, expected one JSON object", maxBodyBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("body: it ended too early: %w", err)
	}
	return bytes.TrimSpace(b), nil
}

// decode reads one JSON object into v. The errors name expected, an example.
func decode(b []byte, v any, expected string) error {
	if len(b) == 0 || b[0] != '{' || !json.Valid(b) {
		return fmt.Errorf("body: found no JSON object, expected %s", expected)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
		return fmt.Errorf("%s: found a JSON %s, expected %s", wrong.Field, wrong.Value, expected)
	}
	if err != nil {
		return fmt.Errorf("body: found an %s, expected %s", strings.TrimPrefix(err.Error(), "json: "), expected)
	}
	return nil
}

const pauseExample = `{"for": "2h"} or {"until": "2026-11-29T08:00:00Z"}`

// PauseRequest is the body of a pause: exactly one of the fields is set.
type PauseRequest struct {
	For   string `json:"for,omitempty"`   // a duration such as 2h
	Until string `json:"until,omitempty"` // a time of RFC 3339
}

// parsePause returns the end of the pause in a body that arrived at now.
func parsePause(b []byte, now time.Time) (time.Time, error) {
	var p PauseRequest
	if err := decode(b, &p, pauseExample); err != nil {
		return time.Time{}, err
	}
	return p.end(now)
}

func (p PauseRequest) end(now time.Time) (time.Time, error) {
	switch {
	case p.For != "" && p.Until != "":
		return time.Time{}, errors.New("for, until: found both, expected one of them")
	case p.For != "":
		d, err := time.ParseDuration(p.For)
		if err != nil || d < machine.MinPause || d > machine.MaxPause {
			return time.Time{}, fmt.Errorf("for: found %q, expected a duration such as 2h, from %v to %dh", p.For, machine.MinPause, int(machine.MaxPause.Hours()))
		}
		return now.Add(d), nil
	case p.Until != "":
		t, err := time.Parse(time.RFC3339, p.Until)
		if err != nil || !t.After(now) || t.Sub(now) > machine.MaxPause {
			return time.Time{}, fmt.Errorf("until: found %q, expected a time such as %s, later than now and at most %d days ahead",
				p.Until, now.Add(2*time.Hour).Format(time.RFC3339), int(machine.MaxPause.Hours()/24))
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("for, until: found neither, expected %s", pauseExample)
}

// wakeRequest is the optional body of a wake.
type wakeRequest struct {
	Test bool `json:"test,omitempty"`
}

// parseWake reads the body of a wake. It ignores anything but an object: a wake needs no
// body, and earlier versions ignored it.
func parseWake(b []byte) (wakeRequest, error) {
	var q wakeRequest
	if len(b) == 0 || b[0] != '{' {
		return q, nil
	}
	err := decode(b, &q, `{"test": true}`)
	return q, err
}

// macRequest is the body of a request for a magic packet.
type macRequest struct {
	MAC string `json:"mac"`
}

const macExample = `{"mac": "d8:cb:8a:39:be:a1"}`

// parseMAC returns the MAC in a body. It must not be that of a known machine.
func parseMAC(b []byte, known []machine.Status) (ether.MAC, error) {
	var q macRequest
	if err := decode(b, &q, macExample); err != nil {
		return ether.MAC{}, err
	}
	mac, err := ether.ParseMAC(q.MAC)
	if err != nil || !mac.Unicast() {
		return ether.MAC{}, fmt.Errorf("mac: found %q, expected that of one network card, such as d8:cb:8a:39:be:a1", q.MAC)
	}
	for i := range known {
		if s := &known[i].Spec; s.MAC == mac || s.MagicMAC() == mac {
			return ether.MAC{}, fmt.Errorf("mac: found %s, which is that of %q: expected its name instead", mac, s.Name)
		}
	}
	return mac, nil
}
