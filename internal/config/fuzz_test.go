package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"nightporter/internal/config"
)

// FuzzLoad: any file is refused, or gives a configuration that can be written,
// loaded again, and then is the same.
func FuzzLoad(f *testing.F) {
	for _, tt := range badValues {
		f.Add([]byte(tt.file))
	}
	for _, tt := range badMachines {
		f.Add([]byte(tt.file))
	}
	for _, tt := range shortForms {
		f.Add([]byte(withMembers(tt.short)))
	}
	for _, tt := range badPages {
		f.Add([]byte(tt.file))
	}
	example, err := os.ReadFile(reference)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte(machinesFile))
	f.Add([]byte(defaultYAML))
	f.Add([]byte(effectiveMachines))
	f.Add([]byte("wake: &w {attempts: 3, <<: {keep: false}}\nregistration: {token: !!binary aGkgdGhlcmUh, allow: [*w]}\n? [a]\n: b\n"))
	path := filepath.Join(f.TempDir(), "config.yaml")
	load := func(t *testing.T, b []byte) (*config.Config, error) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return config.Load(path, true, nil, nil, readURLs)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := load(t, b)
		if (err == nil) != (first != nil) {
			t.Fatalf("configuration %v, error %v", first, err)
		}
		if err != nil {
			return
		}
		if _, err := first.YAML(); err != nil {
			t.Fatal(err)
		}
		printed, err := first.Reveal()
		if err != nil {
			t.Fatal(err)
		}
		second, err := load(t, printed)
		if err != nil {
			t.Fatalf("%v\nprinted:\n%s", err, printed)
		}
		same(t, second, first)
	})
}
