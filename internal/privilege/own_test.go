package privilege

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func ownerOf(t *testing.T, path string) (uid, gid int, mode os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	return int(stat.Uid), int(stat.Gid), info.Mode().Perm()
}

// A directory that is missing is made for the user, below parents that it can
// get through; it is the user's at the next start, too.
func TestOwnMakes(t *testing.T) {
	needRoot(t)
	u := User{Name: "nobody", UID: nobody, GID: nobody}
	base := t.TempDir()
	dir := filepath.Join(base, "lib", "porter")
	for range 2 {
		if err := Own(dir, u); err != nil {
			t.Fatal(err)
		}
		if uid, gid, mode := ownerOf(t, dir); uid != nobody || gid != nobody || mode != 0o700 {
			t.Errorf("made for %d:%d with mode %o", uid, gid, mode)
		}
		if uid, _, mode := ownerOf(t, filepath.Join(base, "lib")); uid != 0 || mode != 0o755 {
			t.Errorf("its parent is of %d with mode %o", uid, mode)
		}
	}
}

// What is somebody else's stays theirs.
func TestOwnRefuses(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	theirs := filepath.Join(dir, "theirs")
	if err := os.Mkdir(theirs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(theirs, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		dir  string
		user User
		want string
	}{
		{dir, User{"nobody", nobody, 7}, dir + " belongs to root, expected nobody: try `chown -R 65534:7 " + dir + "`"},
		{theirs, User{"root", 0, 0}, theirs + " belongs to nobody, expected root: try `chown -R 0:0 " + theirs + "`"},
		{file, User{"root", 0, 0}, file + " is a file: expected a directory that root can write to"},
		{filepath.Join(file, "dir"), User{"root", 0, 0}, "mkdir " + file + ": not a directory: expected a directory that root can write to"},
	} {
		if err := Own(tt.dir, tt.user); err == nil || err.Error() != tt.want {
			t.Errorf("error differs\n got: %v\nwant: %s", err, tt.want)
		}
	}
	if uid, _, _ := ownerOf(t, dir); uid != 0 {
		t.Errorf("%s was given to %d", dir, uid)
	}
}

// Nobody but root changes owners: the journal makes the directory then.
func TestOwnAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("needs an ordinary user")
	}
	dir := filepath.Join(t.TempDir(), "porter")
	if err := Own(dir, User{Name: "root"}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("made %s: %v", dir, err)
	}
}
