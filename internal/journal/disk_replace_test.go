package journal

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFaultReplace: a new file that cannot take the place of the present one
// leaves that, and nothing else. The error says whether the new file is in place but not durable.
func TestFaultReplace(t *testing.T) {
	for _, c := range []struct {
		name     string
		spoil    func(*testing.T, *folder)
		unlinked bool
	}{
		{"no new file", func(_ *testing.T, d *folder) { d.path += "/gone" }, false},
		{"rename", func(t *testing.T, d *folder) {
			// A directory is not replaced by a file (rename(2), EISDIR).
			if err := errors.Join(os.Remove(d.file()), os.Mkdir(d.file(), dirMode)); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"sync of the directory", func(t *testing.T, d *folder) {
			// A handle that opens nothing cannot be synced (open(2), O_PATH).
			blind, err := os.OpenFile(d.path, unix.O_PATH|unix.O_DIRECTORY, 0)
			if err := errors.Join(err, d.lock.Close()); err != nil {
				t.Fatal(err)
			}
			d.lock = blind
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, written(t, 3))
			d, err := openFolder(dir, (&logged{}).logger())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = d.close() }()
			c.spoil(t, d)
			f, err := d.replace(headerLine())
			if f != nil || err == nil || errors.Is(err, errUnlinked) != c.unlinked {
				t.Errorf("file %v, error %v", f, err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 || entries[0].Name() != fileName {
				t.Errorf("in the directory: %v, %v", entries, err)
			}
			if c.unlinked && !bytes.Equal(contentOf(t, dir), headerLine()) {
				t.Error("the new file is not there")
			}
		})
	}
}
