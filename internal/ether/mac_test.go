package ether_test

import (
	"bytes"
	"net"
	"testing"

	"nightporter/internal/ether"
)

// FuzzParseMAC: what is read is what package net reads, in the two forms of six
// bytes, and nothing else.
func FuzzParseMAC(f *testing.F) {
	for _, s := range []string{"d8:cb:8a:39:be:a1", "D8-CB-8A-39-BE-A1", "d8:cb-8a:39:be:a1", "d8cb.8a39.bea1", "d8:cb:8a:39:be:a", "", "ff:ff:ff:ff:ff:fg"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ether.ParseMAC(s)
		want, wantErr := net.ParseMAC(s)
		sixBytes := wantErr == nil && len(s) == len("d8:cb:8a:39:be:a1")
		if (err == nil) != sixBytes {
			t.Fatalf("%q: error %v, package net has %v, %v", s, err, want, wantErr)
		}
		if err != nil {
			if got != (ether.MAC{}) {
				t.Errorf("%q: %v with an error", s, got)
			}
			return
		}
		if !bytes.Equal(got[:], want) {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
		if again, err := ether.ParseMAC(got.String()); err != nil || again != got {
			t.Errorf("%v is read again as %v, %v", got, again, err)
		}
	})
}
