package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

const (
	fileName    = "journal.jsonl"
	fileMode    = 0o600 // a journal holds SecureOn passwords
	dirMode     = 0o700
	othersWrite = 0o022 // the permission to write of all who are not the owner

	maxAside = 3 // files set aside that are kept

	asideSuffix = ".bad" // of files set aside
)

// disk is the part of the file system that the journal uses.
type disk interface {
	// open opens the present file to be appended to.
	open() (file, error)
	// replace puts a file with this content in the place of the present one,
	// durably and at once, and opens it to be appended to. After an error the
	// present one is as it was, unless the error is errUnlinked.
	replace(content []byte) (file, error)
	// room returns the free space in bytes, or math.MaxInt64 if it is not known.
	room() int64
}

// file is an open journal. What is written goes to its end.
type file interface {
	io.Writer
	Sync() error // makes what was written durable
	Truncate(size int64) error
	Close() error
}

// folder is the state directory. It is locked: no other process can open it.
type folder struct {
	path string
	lock *os.File // the directory itself
	most int64    // maximum length of the file in bytes: a longer one is not read
}

func openFolder(path string, log *slog.Logger) (*folder, error) {
	if err := os.MkdirAll(path, dirMode); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	d, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("open the state directory: %w", err)
	}
	switch err := flock(d); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(fmt.Errorf("state directory %s: in use by another nightporter", path), d.Close())
	case err != nil:
		// Some network file systems have no such locks. That is no reason to
		// let machines sleep on.
		log.Warn("cannot lock the state directory: a second nightporter is not detected", "event", "journal_lock_failed", "dir", path, "err", err)
	}
	return &folder{path: path, lock: d, most: maxRead}, nil
}

// flock locks the directory rather than a file in it: that takes no space and no
// right to write.
func flock(d *os.File) error {
	return control(d, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
}

func control(f *os.File, call func(fd int) error) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = rc.Control(func(fd uintptr) {
		for result = call(int(fd)); errors.Is(result, unix.EINTR); {
			result = call(int(fd))
		}
	})
	return errors.Join(err, result)
}

// Keeps reports whether the journal creates files of that name in its directory.
func Keeps(name string) bool {
	return name == fileName || strings.HasPrefix(name, "."+fileName) || strings.HasPrefix(name, fileName+".") && strings.HasSuffix(name, asideSuffix)
}

func (d *folder) file() string { return filepath.Join(d.path, fileName) }

func (d *folder) close() error { return d.lock.Close() }

// openFile opens the present file. A link is not followed: it may lead to a file of
// another user's choice.
func (d *folder) openFile(flag int) (*os.File, error) {
	f, err := os.OpenFile(d.file(), flag|unix.O_NOFOLLOW, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link: expected a regular file", d.file())
	}
	return f, err
}

// exposed returns which of the state directory and the file, whose mode is given, others
// than the owner can write to: they could say what machines there are.
func (d *folder) exposed(file fs.FileMode) (paths []string) {
	if info, err := d.lock.Stat(); err == nil && info.Mode()&othersWrite != 0 {
		paths = append(paths, d.path)
	}
	if file&othersWrite != 0 {
		paths = append(paths, d.file())
	}
	return paths
}

func (d *folder) open() (file, error) {
	f, err := d.openFile(os.O_WRONLY | os.O_APPEND)
	if err != nil {
		return nil, err
	}
	return dataFile{f}, nil
}

func (d *folder) replace(content []byte) (file, error) {
	p, err := renameio.NewPendingFile(d.file(), renameio.WithTempDir(d.path), renameio.WithStaticPermissions(fileMode))
	if err != nil {
		return nil, err
	}
	if err := fill(p, content); err != nil {
		return nil, errors.Join(err, p.Cleanup())
	}
	// The new name has to be durable before what is appended under it is.
	if err := d.lock.Sync(); err != nil {
		return nil, fmt.Errorf("sync the state directory: %w; %w", err, errUnlinked)
	}
	f, err := d.open()
	if err != nil {
		return nil, fmt.Errorf("%w; %w", err, errUnlinked)
	}
	return f, nil
}

func (d *folder) room() int64 {
	var stat unix.Statfs_t
	err := control(d.lock, func(fd int) error { return unix.Fstatfs(fd, &stat) })
	if err != nil {
		return math.MaxInt64
	}
	block := uint64(max(stat.Bsize, 1))
	return int64(min(stat.Bavail, math.MaxInt64/block) * block)
}

func fill(p *renameio.PendingFile, content []byte) error {
	if _, err := p.Write(content); err != nil {
		return err
	}
	return p.CloseAtomicallyReplace()
}

// sweep removes what an interrupted replace left behind.
func (d *folder) sweep() error {
	left, err := d.named("."+fileName, "")
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// setAside keeps the present file under another name, which it returns. The file
// also keeps its own, where that is possible, until the new one replaces it.
func (d *folder) setAside(now time.Time) (string, error) {
	name := fmt.Sprintf("%s.%s%s", d.file(), now.UTC().Format("20060102T150405.000000000Z"), asideSuffix)
	if os.Link(d.file(), name) != nil {
		if err := os.Rename(d.file(), name); err != nil {
			return "", err
		}
	}
	aside, err := d.named(fileName+".", asideSuffix) // by name is by time
	// This one stays, whatever the clock says.
	aside = slices.DeleteFunc(aside, func(s string) bool { return s == name })
	for len(aside) > maxAside-1 {
		err = errors.Join(err, os.Remove(aside[0]))
		aside = aside[1:]
	}
	return name, err
}

// named returns the paths of what has a name of that form, sorted.
func (d *folder) named(prefix, suffix string) ([]string, error) {
	entries, err := os.ReadDir(d.path)
	var found []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), suffix) {
			found = append(found, filepath.Join(d.path, e.Name()))
		}
	}
	return found, err
}

// dataFile uses fdatasync for Sync, which does not write metadata such as the time of
// the change. That halves the writes to an SD card.
type dataFile struct{ *os.File }

func (f dataFile) Sync() error {
	if err := control(f.File, unix.Fdatasync); err != nil {
		return fmt.Errorf("fdatasync %s: %w", f.Name(), err)
	}
	return nil
}

// errUnlinked means that a new file replaced the present one, but the replacement may
// not be durable.
var errUnlinked = errors.New("the former journal file was replaced")
