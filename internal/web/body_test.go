package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// TestParsePause: what a pause takes, and what the errors name.
func TestParsePause(t *testing.T) {
	for body, want := range map[string]string{
		`{"for": "2h"}`:                          "2026-11-28 14:00:00",
		`{"for": "1s"}`:                          "2026-11-28 12:00:01",
		`{"for": "720h"}`:                        "2026-12-28 12:00:00",
		`{"until": "2026-11-29T08:00:00+01:00"}`: "2026-11-29 07:00:00",
		`{}`:                                     "for, until: found neither",
		``:                                       "body: found no JSON object",
		`[]`:                                     "body: found no JSON object",
		`{"for": "2h"} x`:                        "body: found no JSON object",
		`{"for": 2}`:                             "for: found a JSON number",
		`{"fro": "2h"}`:                          `body: found an unknown field "fro", expected {"for": "2h"} or`,
		`{"for": "2"}`:                           `for: found "2", expected a duration such as 2h, from 1s to 720h`,
		`{"for": "-2h"}`:                         `for: found "-2h"`,
		`{"for": "999ms"}`:                       `for: found "999ms"`,
		`{"for": "721h"}`:                        `for: found "721h"`,
		`{"until": "tomorrow"}`:                  `until: found "tomorrow", expected a time such as 2026-11-28T14:00:00Z`,
		`{"until": "2026-11-28T12:00:00Z"}`:      `later than now`,
		`{"until": "2026-12-29T12:00:00Z"}`:      `at most 30 days ahead`,
		`{"for": "2h", "until": "2026-11-29T08:00:00Z"}`:    "for, until: found both",
		`{"until": "` + strings.Repeat("9", 100) + `"}`:     `until: found`,
		`{"for": "999999999999999999h", "until": ""}`:       `for: found`,
		`{"until": "2026-11-29T08:00:00Z", "for": "", "x":`: "body: found no JSON object",
	} {
		got, err := parsePause([]byte(body), noon)
		text := got.UTC().Format(time.DateTime)
		if err != nil {
			text = err.Error()
		}
		if !strings.Contains(text, want) {
			t.Errorf("%s: %s, want %s", body, text, want)
		}
	}
}

// TestParseWake: a wake needs no body, and earlier versions looked at none.
func TestParseWake(t *testing.T) {
	for body, want := range map[string]string{
		"": "false", "x": "false", "a=b": "false", "{}": "false", `{"test": true}`: "true", `{"test": false}`: "false",
		`{"tset": true}`: `body: found an unknown field "tset", expected {"test": true}`,
		`{"test": 1}`:    "test: found a JSON number, expected", `{"test": tr`: "body: found no JSON object",
	} {
		q, err := parseWake([]byte(body))
		got := fmt.Sprint(q.Test)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// TestParseMAC: a machine of the porter has a name for that.
func TestParseMAC(t *testing.T) {
	known := []machine.Status{{Spec: machine.Spec{Name: "nas", MAC: ether.MAC{2, 0, 0, 0, 0, 1}, WakeMAC: ether.MAC{2, 0, 0, 0, 0, 2}}}}
	for body, want := range map[string]string{
		`{"mac": "02:00:00:00:00:03"}`: "02:00:00:00:00:03",
		`{"mac": "02-00-00-00-00-03"}`: "02:00:00:00:00:03",
		`{"mac": "02:00:00:00:00:01"}`: `mac: found 02:00:00:00:00:01, which is that of "nas": expected its name instead`,
		`{"mac": "02:00:00:00:00:02"}`: `which is that of "nas"`,
		`{"mac": "ff:ff:ff:ff:ff:ff"}`: `mac: found "ff:ff:ff:ff:ff:ff", expected that of one network card`,
		`{"mac": "00:00:00:00:00:00"}`: `expected that of one network card`,
		`{"mac": "nas"}`:               `mac: found "nas", expected that of one network card`,
		`{"mac": null}`:                `mac: found "", expected`,
		`{}`:                           `mac: found "", expected`,
		`"02:00:00:00:00:03"`:          "body: found no JSON object",
	} {
		mac, err := parseMAC([]byte(body), known)
		got := mac.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// FuzzBodies: whatever a request carries, what is read is within its bounds, and an
// error is one line.
func FuzzBodies(f *testing.F) {
	for _, s := range []string{
		`{"for":"2h"}`, `{"until":"2026-11-29T08:00:00Z"}`, `{"test":true}`, `{"mac":"02:00:00:00:00:03"}`, `{"mac":"\u0000"}`, `{`, ``, `[1]`, `{"for":{}}`, `{"FOR":"1h"}`, `{"\n":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		until, err := parsePause(b, noon)
		if ahead := until.Sub(noon); err == nil && (ahead <= 0 || ahead > machine.MaxPause) {
			t.Errorf("%q: paused until %v", b, until)
		}
		mac, macErr := parseMAC(b, nil)
		if macErr == nil && !mac.Unicast() {
			t.Errorf("%q: %v", b, mac)
		}
		q, wakeErr := parseWake(b)
		if wakeErr != nil && q.Test && err == nil {
			t.Errorf("%q: a pause and a test", b)
		}
		for _, err := range []error{err, macErr, wakeErr} {
			if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("error %q", err)
			}
		}
	})
}
