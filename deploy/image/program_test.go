package main

import (
	"strings"
	"testing"
)

// settings parses build settings such as GOARCH=arm.
func settings(pairs string) map[string]string {
	all := make(map[string]string)
	for _, pair := range strings.Fields(pairs) {
		key, value, _ := strings.Cut(pair, "=")
		all[key] = value
	}
	return all
}

func TestPlatform(t *testing.T) {
	for pairs, want := range map[string]string{
		"GOOS=linux GOARCH=amd64 GOAMD64=v1":    "linux/amd64",
		"GOOS=linux GOARCH=arm64":               "linux/arm64",
		"GOOS=linux GOARCH=arm GOARM=6":         "linux/arm/v6",
		"GOOS=linux GOARCH=arm GOARM=7":         "linux/arm/v7",
		"GOOS=linux GOARCH=arm GOARM=5":         `GOARM: found "5", expected 6 or 7`,
		"GOOS=linux GOARCH=arm":                 `GOARM: found "", expected 6 or 7`,
		"GOOS=linux GOARCH=mips":                `GOARCH: found "mips", expected amd64, arm64 or arm`,
		"GOOS=freebsd GOARCH=amd64":             `GOOS: found "freebsd", expected linux`,
		"CGO_ENABLED=1 GOOS=linux GOARCH=arm64": `CGO_ENABLED: found "1", expected 0`,
	} {
		p, err := platformOf(settings("CGO_ENABLED=0 " + pairs))
		got := p.String()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: found %s, expected %s", pairs, got, want)
		}
	}
}
