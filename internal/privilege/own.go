package privilege

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"nightporter/internal/shell"
)

// Modes of what Own makes.
const (
	dirMode    = 0o700
	parentMode = 0o755
)

// Own sees to it that u owns the directory dir before the process becomes u. One
// that does not exist is made, with mode 0700. One that is somebody else's is an
// error with its remedy: to give it away could take /etc from root after a slip
// in a path. It does nothing unless the process is root, since nobody else can
// change an owner, nor becomes somebody else.
//
// It is of use to a root that stays root, too: without CAP_DAC_OVERRIDE it writes
// only where an owner may.
func Own(dir string, u User) error {
	if os.Geteuid() != 0 {
		return nil
	}
	made, err := makeDir(dir)
	if err == nil && made {
		err = give(dir, u)
	}
	if err != nil {
		return fmt.Errorf("%w: expected a directory that %s can write to", err, u.Name)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if owner := int(info.Sys().(*syscall.Stat_t).Uid); owner != u.UID {
		return fmt.Errorf("%s belongs to %s, expected %s: try `chown -R %d:%d %s`",
			dir, nameOf(owner), u.Name, u.UID, u.GID, shell.Quote(dir))
	}
	return nil
}

// makeDir reports whether the directory was not there before.
func makeDir(dir string) (made bool, err error) {
	// Parents are nobody's secret, and the user has to get through them.
	if err := os.MkdirAll(filepath.Dir(dir), parentMode); err != nil {
		return false, err
	}
	err = os.Mkdir(dir, dirMode)
	if !errors.Is(err, fs.ErrExist) {
		return err == nil, err
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is a file", dir)
	}
	return false, err
}

// give makes u the owner of a directory that was just made, and of no other that
// has taken its name since.
func give(dir string, u User) error {
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Chown(u.UID, u.GID)
}
