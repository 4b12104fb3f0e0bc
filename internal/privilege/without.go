package privilege

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Without runs f on a thread that has no capabilities and can gain none, for a
// program that f starts: it inherits the thread's. Root's would otherwise come with
// the bounding set (capabilities(7)). Nothing else ever runs on that thread.
func Without(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() { // it cannot end, and is what others see of the process
			done <- Without(f)
			runtime.UnlockOSThread()
			return
		}
		err := forsake() // the thread ends with the goroutine, which keeps it locked
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// forsake gives up the capabilities of the calling thread alone.
func forsake() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("give up all capabilities: %w", err)
	}
	return nil
}
