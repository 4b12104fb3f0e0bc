package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// errAborted tells that a function left its thread by runtime.Goexit, as a
// failed assertion of a test does.
var errAborted = errors.New("the function ended its goroutine instead of returning")

// startThread runs fn on an operating system thread of its own, which ends
// with fn: a thread whose namespace was changed must not serve other
// goroutines. Going back is no option, for in a user namespace the original
// network namespace belongs to somebody else.
//
// The main thread never ends, and it is what /proc/self shows, so fn is kept
// off it.
func startThread(fn func()) {
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

// onThread is startThread for a function that is waited for.
func onThread(fn func() error) error {
	err := errAborted
	done := make(chan struct{})
	startThread(func() {
		defer close(done)
		err = fn()
	})
	<-done
	return err
}

// A namespace is an anonymous network namespace, kept by an open file only.
type namespace struct {
	file *os.File
}

func newNamespace() (*namespace, error) {
	var ns namespace
	err := onThread(func() error {
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

// enter moves the calling thread into n.
func (n *namespace) enter() error {
	return n.withFD(func(fd int) error {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return nil
	})
}

// withFD lends the descriptor of n to fn; it stays open meanwhile.
func (n *namespace) withFD(fn func(fd int) error) error {
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

// do runs fn on a thread inside n.
func (n *namespace) do(fn func() error) error {
	return onThread(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		return fn()
	})
}

// rtnl runs fn inside n with a connection to its routing netlink.
func (n *namespace) rtnl(fn func(*rtnetlink.Conn) error) error {
	return n.do(func() error {
		c, err := rtnetlink.Dial(nil)
		if err != nil {
			return fmt.Errorf("open routing netlink: %w", err)
		}
		defer c.Close()
		return fn(c)
	})
}

func (n *namespace) close() error { return n.file.Close() }
