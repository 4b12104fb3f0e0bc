package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// tinyDisk makes a file system of its own, mounted nowhere, and returns a path
// by which this process and its children reach it while the test runs. They
// inherit it: what is open in another process is out of a daemon's reach once
// that has dropped its privileges.
func tinyDisk(t *testing.T, size string) string {
	t.Helper()
	fd := -1
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: its mount namespace ends with it
		var err error
		fd, err = mountTmpfs(size)
		done <- err
	}()
	switch err := <-done; {
	case errors.Is(err, unix.EPERM) && os.Getenv("CI") == "":
		t.Skip("needs root for a file system:", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) }) // nothing on it is needed any more
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}

func mountTmpfs(size string) (fd int, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return -1, fmt.Errorf("make a mount namespace: %w", err)
	}
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open a tmpfs: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "size", size); err != nil {
		return -1, fmt.Errorf("set the size: %w", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("create the tmpfs: %w", err)
	}
	fd, err = unix.Fsmount(fs, 0, 0) // not FSMOUNT_CLOEXEC: see tinyDisk
	if err != nil {
		return -1, fmt.Errorf("mount the tmpfs: %w", err)
	}
	return fd, nil
}

// fillDisk takes all the space in dir, and returns how to give it back.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	f, err := os.Create(dir + "/ballast")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(f.Name()); err != nil {
			t.Fatal(err)
		}
	}
}
