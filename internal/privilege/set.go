package privilege

import (
	"fmt"
	"math/bits"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// Set is a set of capabilities: bit n is capability n of linux/capability.h.
type Set uint64

const (
	// Working is what the porter needs while it runs. CAP_NET_RAW: packet sockets
	// that are opened when an interface comes, and magic packets. CAP_NET_ADMIN:
	// addresses and neighbors of the kernel, nftables, and large socket buffers.
	Working Set = 1<<unix.CAP_NET_RAW | 1<<unix.CAP_NET_ADMIN
	// Watching is Working where nothing of the host's network is to be changed: no
	// firewall rule, address or neighbor, which take CAP_NET_ADMIN.
	Watching Set = 1 << unix.CAP_NET_RAW
	// Opening is what it may need to open its sockets: ports below 1024 as well.
	Opening = Working | 1<<unix.CAP_NET_BIND_SERVICE
)

// String lists the capabilities, such as "CAP_NET_ADMIN CAP_NET_RAW", or says
// "none".
func (s Set) String() string {
	if s == 0 {
		return "none"
	}
	var words []string
	for left := uint64(s); left != 0; left &= left - 1 {
		words = append(words, name(bits.TrailingZeros64(left)))
	}
	return strings.Join(words, " ")
}

func name(capability int) string {
	switch capability {
	case unix.CAP_NET_RAW:
		return "CAP_NET_RAW"
	case unix.CAP_NET_ADMIN:
		return "CAP_NET_ADMIN"
	case unix.CAP_NET_BIND_SERVICE:
		return "CAP_NET_BIND_SERVICE"
	}
	return fmt.Sprintf("capability %d", capability)
}

// held is the three sets of a thread that capget(2) knows.
type held struct{ effective, permitted, inheritable Set }

// Raise makes all permitted capabilities effective, on all threads, and returns them. Of
// a file's, as in a container image, some may be permitted only.
func Raise() (Set, error) { return Keep(^Set(0)) }

// current returns what the calling thread holds; all threads hold the same.
func current() (held, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var low [2]unix.CapUserData // version 3 has two words
	if err := unix.Capget(&header, &low[0]); err != nil {
		return held{}, fmt.Errorf("read the capabilities: %w", err)
	}
	join := func(a, b uint32) Set { return Set(a) | Set(b)<<32 }
	return held{
		effective:   join(low[0].Effective, low[1].Effective),
		permitted:   join(low[0].Permitted, low[1].Permitted),
		inheritable: join(low[0].Inheritable, low[1].Inheritable),
	}, nil
}

// Keep gives up every capability outside the set, on all threads, for good. It
// returns what is left, which may be less than the set but never more.
//
// Nothing is left to be inherited either, which empties the ambient set as well.
// What root executes gets the bounding set all the same, see Without.
func Keep(set Set) (Set, error) {
	now, err := current()
	if err != nil {
		return 0, err
	}
	left := now.permitted & set
	if (held{effective: left, permitted: left}) == now {
		return left, nil
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(left), Permitted: uint32(left)},
		{Effective: uint32(left >> 32), Permitted: uint32(left >> 32)},
	}
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	if errno != 0 {
		return 0, fmt.Errorf("give up all capabilities but %s: %w", left, errno)
	}
	return left, nil
}

// bound takes from the bounding set what is outside of set, where the process
// may do so. Where it may not, no_new_privs has the same effect: nothing that it
// could execute would gain anything.
func bound(set Set) error {
	now, err := current()
	if err != nil {
		return err
	}
	if now.effective&(1<<unix.CAP_SETPCAP) == 0 {
		return nil
	}
	for n := range 64 {
		in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil {
			break // beyond the last capability of this kernel
		}
		if in == 0 || set&(1<<n) != 0 {
			continue
		}
		if err := prctl(unix.PR_CAPBSET_DROP, uintptr(n)); err != nil {
			return fmt.Errorf("take capability %d from the bounding set: %w", n, err)
		}
	}
	return nil
}

// prctl is prctl(2) on all threads.
func prctl(option, argument uintptr) error {
	if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, option, argument, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
