package hosttest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is a file system without a mount point: no other process sees it, and it is reached
// through a descriptor. Processes that the test starts inherit it: what is open in
// another process is out of a daemon's reach once that has dropped its privileges.
type Disk struct {
	// Dir is the path of its root, for this process and its children.
	Dir string

	tb testing.TB
	fd int
}

// New makes a disk of a size such as "64k", until the test ends. Without the
// right to do so the test is skipped; in CI it fails, because a skip would go unnoticed.
func New(tb testing.TB, size string) *Disk {
	tb.Helper()
	d := &Disk{tb: tb, fd: -1}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: its mount namespace ends with it
		done <- d.mount(size)
	}()
	switch err := <-done; {
	case errors.Is(err, unix.EPERM) && os.Getenv("CI") == "":
		tb.Skip("needs root for a file system:", err)
	case err != nil:
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(d.fd) }) // nothing on it is needed any more
	d.Dir = fmt.Sprintf("/proc/self/fd/%d", d.fd)
	return d
}

func (d *Disk) mount(size string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open a tmpfs: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "size", size); err != nil {
		return fmt.Errorf("set the size: %w", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return fmt.Errorf("create the tmpfs: %w", err)
	}
	if d.fd, err = unix.Fsmount(fs, 0, 0); err != nil { // not FSMOUNT_CLOEXEC: children inherit it
		return fmt.Errorf("mount the tmpfs: %w", err)
	}
	return nil
}

// ReadOnly makes the disk so, or ends that.
func (d *Disk) ReadOnly(on bool) {
	d.tb.Helper()
	attr := unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	if on {
		attr = unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	}
	if err := unix.MountSetattr(d.fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		d.tb.Fatal("make the tmpfs read-only or not:", err)
	}
}

// Fill takes all the space there is, and returns how to give it back.
func (d *Disk) Fill() (free func()) {
	d.tb.Helper()
	f, err := os.Create(d.Dir + "/ballast")
	if err != nil {
		d.tb.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		d.tb.Fatal(err)
	}
	return func() {
		if err := os.Remove(f.Name()); err != nil {
			d.tb.Fatal(err)
		}
	}
}
