package privilege

import (
	"errors"
	"fmt"
	"io"
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

// mostFiles is how many files Own gives away at most.
const mostFiles = 64

// othersWrite is the permission to write of all who are not the owner.
const othersWrite = 0o022

// Own sees to it that u owns the directory dir before the process becomes u. One
// that does not exist is made, with mode 0700. One of root's is given to u with its
// files, if it holds none but those whose names are ours: an earlier run was root.
// Any other one is an error with its remedy: to give it away could take /etc from
// root after a slip in a path. It does nothing unless the process is root, since
// no other user can change an owner, or become another one.
//
// It is of use to a root that stays root, too: without CAP_DAC_OVERRIDE it writes
// only where an owner may.
func Own(dir string, u User, ours func(name string) bool) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if err := makeDir(dir); err != nil {
		return fmt.Errorf("%w: expected a directory that %s can write to", err, u.Name)
	}
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil {
		return err
	}
	owner := uidOf(info)
	if owner == u.UID {
		return nil
	}
	if earlier(owner) && info.Mode()&othersWrite == 0 {
		if given, err := give(d, u, ours); given || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s belongs to %s, expected %s: try `chown -R %d:%d %s`", dir, nameOf(owner), u.Name, u.UID, u.GID, shell.Quote(dir))
}

// earlier reports whether an earlier run may have been that user by default
// so: root, or the one that root becomes where there is no user of our name.
func earlier(uid int) bool { return uid == 0 || uid == Unused }

func uidOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// makeDir makes a directory that is not there. It belongs to root then.
func makeDir(dir string) error {
	// The parents hold no secret, and the user has to traverse them.
	if err := os.MkdirAll(filepath.Dir(dir), parentMode); err != nil {
		return err
	}
	err := os.Mkdir(dir, dirMode)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is a file", dir)
	}
	return err
}

// give makes u the owner of a directory and of all that is in it, unless there is
// anything else than files of ours. The directory comes last: what a crash has left
// undone is done at the next start.
func give(dir *os.File, u User, ours func(string) bool) (given bool, err error) {
	names, err := dir.Readdirnames(mostFiles + 1)
	if err != nil && !errors.Is(err, io.EOF) || len(names) > mostFiles {
		return false, err
	}
	files := make([]*os.File, 0, len(names))
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, name := range names {
		f := openOurs(dir, name, ours)
		if f == nil {
			return false, nil
		}
		files = append(files, f)
	}
	for _, f := range append(files, dir) {
		if err := f.Chown(u.UID, u.GID); err != nil {
			return false, err
		}
	}
	return true, nil
}

// openOurs opens a file that an earlier run has left in a directory, or returns nil.
// A file with a second name may be one of root's from elsewhere.
func openOurs(dir *os.File, name string, ours func(string) bool) *os.File {
	if !ours(name) {
		return nil
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), name)
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() && earlier(uidOf(info)) && info.Sys().(*syscall.Stat_t).Nlink == 1 {
		return f
	}
	f.Close()
	return nil
}
