// Package netns makes network namespaces and runs functions on threads inside of them.
package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// errAborted is the result of a function that left its thread by runtime.Goexit, as a
// failed assertion of a test does.
var errAborted = errors.New("the function ended its goroutine instead of returning")

// StartThread runs fn on an operating system thread of its own, which ends with fn: a
// thread whose namespace was changed must not serve other goroutines. The thread cannot
// return to its first namespace, because in a user namespace that one has another owner.
//
// The main thread never ends, and /proc/self shows its namespaces, so fn never runs there.
func StartThread(fn func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			fn()
			return
		}
		// While this goroutine occupies the main thread, the next one cannot.
		locked := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(locked)
			fn()
		}()
		<-locked
		runtime.UnlockOSThread()
	}()
}

// OnThread is StartThread for a function with a result, for which it waits.
func OnThread(fn func() error) error {
	err := errAborted
	done := make(chan struct{})
	StartThread(func() {
		defer close(done)
		err = fn()
	})
	<-done
	return err
}

// A Namespace is an anonymous network namespace. Its open file keeps it alive, as do the
// processes and sockets inside.
type Namespace struct {
	file *os.File
}

// New makes a namespace. Without CAP_SYS_ADMIN the error is unix.EPERM.
func New() (*Namespace, error) {
	var ns Namespace
	err := OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return fmt.Errorf("open the new network namespace: %w", err)
		}
		ns.file = f
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ns, nil
}

// Close ends the namespace once no process and no socket is inside.
func (n *Namespace) Close() error { return n.file.Close() }

// WithFD calls fn with the descriptor of the namespace, which stays open meanwhile.
func (n *Namespace) WithFD(fn func(fd int) error) error {
	rc, err := n.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	var ferr error
	if err := rc.Control(func(fd uintptr) { ferr = fn(int(fd)) }); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	return ferr
}

// Enter moves the calling thread into the namespace. The goroutine must own the thread:
// see StartThread.
func (n *Namespace) Enter() error {
	return n.WithFD(func(fd int) error {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return nil
	})
}

// Do runs fn on a thread inside the namespace and returns its error.
func (n *Namespace) Do(fn func() error) error {
	return OnThread(func() error {
		if err := n.Enter(); err != nil {
			return err
		}
		return fn()
	})
}

// Netlink runs fn inside the namespace with a connection to the routing netlink.
func (n *Namespace) Netlink(fn func(*rtnetlink.Conn) error) error {
	return n.Do(func() error {
		c, err := rtnetlink.Dial(nil)
		if err != nil {
			return fmt.Errorf("open routing netlink: %w", err)
		}
		defer c.Close()
		return fn(c)
	})
}
