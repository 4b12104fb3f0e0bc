package privilege

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// named is what a journal's files are called.
func named(name string) bool { return strings.HasPrefix(name, "journal") }

func statOf(t *testing.T, path string) (uid, gid int, mode os.FileMode) {
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
	u := User{Name: "nobody", UID: nobodyID, GID: nobodyID}
	base := t.TempDir()
	dir := filepath.Join(base, "lib", "porter")
	for range 2 {
		if err := Own(dir, u, named); err != nil {
			t.Fatal(err)
		}
		if uid, gid, mode := statOf(t, dir); uid != nobodyID || gid != nobodyID || mode != 0o700 {
			t.Errorf("made for %d:%d with mode %o", uid, gid, mode)
		}
		if uid, _, mode := statOf(t, filepath.Join(base, "lib")); uid != 0 || mode != 0o755 {
			t.Errorf("its parent is of %d with mode %o", uid, mode)
		}
	}
}

// A directory that a run as root has left is given away with its files, also when
// it was done by halves; so is one of the user that a root becomes.
func TestOwnGivesWhatAnEarlierRunLeft(t *testing.T) {
	needRoot(t)
	u := User{Name: "nobody", UID: nobodyID, GID: nobodyID}
	for _, before := range [][2]int{{0, 0}, {0, Unused}, {Unused, Unused}} {
		dir := t.TempDir()
		files := []string{"journal.jsonl", "journal.bad"}
		for i, name := range files {
			files[i] = filepath.Join(dir, name)
			if err := os.WriteFile(files[i], []byte("sound"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for path, id := range map[string]int{dir: before[0], files[0]: before[0], files[1]: before[1]} {
			if err := os.Chown(path, id, id); err != nil {
				t.Fatal(err)
			}
		}
		if err := Own(dir, u, named); err != nil {
			t.Errorf("%v: %v", before, err)
		}
		for _, path := range append(files, dir) {
			if uid, gid, _ := statOf(t, path); uid != nobodyID || gid != nobodyID {
				t.Errorf("%v: %s belongs to %d:%d", before, path, uid, gid)
			}
		}
	}
}

// A user of the host who can write to a directory of root's, or has once been able to,
// cannot have the daemon give it a file of root's.
func TestAttackOnWhatIsGivenAway(t *testing.T) {
	needRoot(t)
	u := User{Name: "nobody", UID: nobodyID, GID: nobodyID}
	foreign := secret(t)
	for name, set := range map[string]func(dir, file string) error{
		"a hard link":             func(_, file string) error { return os.Link(foreign, file) },
		"a symbolic link":         func(_, file string) error { return os.Symlink(foreign, file) },
		"a pipe":                  func(_, file string) error { return syscall.Mkfifo(file, 0o600) },
		"a directory":             func(_, file string) error { return os.Mkdir(file, 0o700) },
		"a file of another name":  func(dir, _ string) error { return os.WriteFile(filepath.Join(dir, "shadow"), nil, 0o600) },
		"a directory open to all": func(dir, _ string) error { return os.Chmod(dir, 0o777) },
		"too many files": func(dir, _ string) error {
			for i := range mostFiles + 1 {
				if err := os.WriteFile(fmt.Sprintf("%s/journal.%d", dir, i), nil, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := set(dir, filepath.Join(dir, "journal.jsonl")); err != nil {
				t.Fatal(err)
			}
			if err := Own(dir, u, named); err == nil || !strings.Contains(err.Error(), "belongs to root, expected nobody") {
				t.Errorf("said %v", err)
			}
			for _, path := range []string{foreign, dir} {
				if uid, _, _ := statOf(t, path); uid != 0 {
					t.Errorf("%s belongs to %d", path, uid)
				}
			}
		})
	}
}

// Files of another user keep their owner.
func TestOwnRefuses(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	theirs := filepath.Join(dir, "theirs")
	if err := os.Mkdir(theirs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(theirs, nobodyID, nobodyID); err != nil {
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
		{dir, User{"nobody", nobodyID, 7}, dir + " belongs to root, expected nobody: try `chown -R 65534:7 " + dir + "`"},
		{theirs, User{"root", 0, 0}, theirs + " belongs to nobody, expected root: try `chown -R 0:0 " + theirs + "`"},
		{file, User{"root", 0, 0}, file + " is a file: expected a directory that root can write to"},
		{filepath.Join(file, "dir"), User{"root", 0, 0}, "mkdir " + file + ": not a directory: expected a directory that root can write to"},
	} {
		if err := Own(tt.dir, tt.user, named); err == nil || err.Error() != tt.want {
			t.Errorf("error differs\n got: %v\nwant: %s", err, tt.want)
		}
	}
	if uid, _, _ := statOf(t, dir); uid != 0 {
		t.Errorf("%s was given to %d", dir, uid)
	}
}

// Only root changes owners: the journal makes the directory then.
func TestOwnAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("needs an ordinary user")
	}
	dir := filepath.Join(t.TempDir(), "porter")
	if err := Own(dir, User{Name: "root"}, named); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("made %s: %v", dir, err)
	}
}
