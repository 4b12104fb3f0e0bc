package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"nightporter/internal/config"
)

// FuzzEnviron: a variable is refused, or sets what a file can say as well.
func FuzzEnviron(f *testing.F) {
	for _, v := range []string{
		"NIGHTPORTER_CLAIM__MODE=bind", "NIGHTPORTER_WAKE__ATTEMPTS=03", "NIGHTPORTER_WAKE__INTERVAL=1h0m", "NIGHTPORTER_INTERFACES=eth0,eth1",
		"NIGHTPORTER_REGISTRATION__TOKEN=a: {b}", "NIGHTPORTER_WAKE__FROM=192.0.2.0/24, ::/0", "NIGHTPORTER_MACHINES=[]", "NIGHTPORTER_=", "NIGHTPORTER_STATE_DIR",
		"NIGHTPORTER_WAKE__QUIET_HOURS=23:00-07:00", "NIGHTPORTER_HTTP__LISTEN=:1,:2", "NIGHTPORTER_ENERGY__IDLE_WATTS=1e400", "PATH=/bin",
	} {
		f.Add(v)
	}
	dir := f.TempDir()
	empty, printed := filepath.Join(dir, "empty.yaml"), filepath.Join(dir, "printed.yaml")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, variable string) {
		first, err := config.Load(empty, true, []string{variable}, nil, readURLs)
		if (err == nil) != (first != nil) {
			t.Fatalf("configuration %v, error %v", first, err)
		}
		if err != nil {
			return
		}
		b, err := first.Reveal()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(printed, b, 0o600); err != nil {
			t.Fatal(err)
		}
		second, err := config.Load(printed, true, nil, nil, readURLs)
		if err != nil {
			t.Fatalf("%q: %v\nprinted:\n%s", variable, err, b)
		}
		same(t, second, first)
	})
}
