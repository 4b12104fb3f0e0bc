package lan

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"nightporter/internal/shell"
)

// tap is a packet socket on one network interface, with a kernel filter and a
// reader: what an Interface and an Outgoing have in common.
type tap struct {
	name  string
	index int
	log   *slog.Logger

	conn packetConn
	raw  syscall.RawConn

	closed   atomic.Bool
	rejected [verdicts]atomic.Uint64

	filterMu sync.Mutex          // one swap of the filter at a time
	twin     atomic.Pointer[tap] // has the same filter; nil: there is none

	dropsMu sync.Mutex
	drops   uint64
}

// packetConn is what a tap needs of a *packet.Conn.
type packetConn interface {
	Close() error
	SetBPF([]bpf.RawInstruction) error
	SetPromiscuous(bool) error
	SetReadDeadline(time.Time) error
	Stats() (*packet.Stats, error)
	SyscallConn() (syscall.RawConn, error)
}

// open opens t's socket, with a filter that passes what s wants.
func (t *tap) open(ifi *net.Interface, s sets, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	filter, _, err := s.program(maxInstructions)
	if err != nil {
		return err
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: filter})
	if err != nil {
		return openError(ifi.Name, err)
	}
	t.name, t.index, t.log = ifi.Name, ifi.Index, log.With("interface", ifi.Name)
	t.conn = conn
	t.raw, err = conn.SyscallConn()
	if err == nil {
		err = t.configure(t.setReceiveOptions)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("interface %s: packet socket: %w", t.name, err), conn.Close())
	}
	return nil
}

// Name returns the interface's name, as it was when the interface was opened.
func (t *tap) Name() string { return t.name }

// Index returns the kernel's number of the interface.
func (t *tap) Index() int { return t.index }

// close closes the socket. Only the first call does.
func (t *tap) close() error {
	if t.closed.Swap(true) {
		return t.unlessClosed(net.ErrClosed)
	}
	return t.conn.Close()
}

// unlessClosed puts t's name before err, and says that t is closed if that is
// the reason: the socket's own errors for it are of several kinds.
func (t *tap) unlessClosed(err error) error {
	if t.closed.Load() {
		err = net.ErrClosed
	}
	return fmt.Errorf("interface %s: %w", t.name, err)
}

// swap puts the filter for s in the place of the one before.
func (t *tap) swap(s sets) error {
	t.filterMu.Lock()
	defer t.filterMu.Unlock()
	// The kernel charges a filter to the socket's option memory, which is small,
	// and the old one is still there while the new one comes in. A coarse filter
	// in between makes room; it passes more than is wanted, never less.
	whole, err := t.attach(s, maxInstructions)
	for limit := maxInstructions; errors.Is(err, unix.ENOMEM) && limit >= minInstructions; limit /= 2 {
		if _, err = t.attach(s, coarse); err != nil {
			break
		}
		whole, err = t.attach(s, limit)
	}
	macs, addrs := len(s.macs), len(s.addrs4)+len(s.addrs6)
	if err != nil {
		return t.unlessClosed(fmt.Errorf("kernel filter for %d machines and %d addresses: %w (net.core.optmem_max limits it)",
			macs, addrs, err))
	}
	if !whole {
		t.log.Warn("too many addresses for the kernel filter, so it passes more traffic than needed; a larger net.core.optmem_max may help", "event", "filter_coarse",
			"machines", macs, "addresses", addrs)
	}
	return nil
}

const (
	coarse          = 0   // no room: every set is given up
	minInstructions = 128 // swap tries no smaller filter
)

// attach puts in place the filter for s of at most limit instructions, on t and
// its twin, and tells whether it holds all of the sets.
func (t *tap) attach(s sets, limit int) (whole bool, err error) {
	program, whole, err := s.program(limit)
	if err != nil {
		return false, err
	}
	err = t.conn.SetBPF(program)
	if twin := t.twin.Load(); err == nil && twin != nil {
		err = twin.conn.SetBPF(program)
	}
	return whole, err
}

// Drops returns how many frames the kernel has dropped on this socket since
// Open because the reader was too slow.
func (t *tap) Drops() uint64 {
	t.dropsMu.Lock()
	defer t.dropsMu.Unlock()
	// The kernel starts again from 0 after every read. On an error (the socket
	// is closed) what is known already is still true.
	if stats, err := t.conn.Stats(); err == nil {
		t.drops += uint64(stats.Drops)
	}
	return t.drops
}

// Rejected returns how many frames Run has thrown away since Open, by reason.
// Every reason is there, also at 0.
func (t *tap) Rejected() map[Verdict]uint64 {
	counts := make(map[Verdict]uint64, verdicts-1)
	for v := Accepted + 1; v < verdicts; v++ {
		counts[v] = t.rejected[v].Load()
	}
	return counts
}

// openError names the remedy where there is one.
func openError(name string, err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("interface %q: packet socket: %w", name, err)
	}
	binary, e := os.Executable()
	if e != nil {
		binary = "nightporter"
	}
	return fmt.Errorf("interface %q: packet socket: %w: needs CAP_NET_RAW: run as root, or: setcap cap_net_raw,cap_net_admin=ep %s",
		name, err, shell.Quote(binary))
}

const (
	// Room for a burst: a thousand knocks at once are some 2 MiB of socket
	// memory, as the kernel counts it. None of it is used while nothing is queued.
	receiveBuffer = 4 << 20
	sendBuffer    = 1 << 20

	// The mark (SO_MARK) of the frames that an Interface sends, by which the
	// filter of an Outgoing knows them. Marks are the host's own affair and no
	// part of a frame; this one only has to be one that nobody else uses.
	ownMark = 0x6e707472
)

// configure sets options of t's socket.
func (t *tap) configure(set func(fd int) error) error {
	var failed error
	if err := t.raw.Control(func(fd uintptr) { failed = set(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// setReceiveOptions sets the options that every socket needs. Those that only make
// things better are allowed to fail, and leave a line in the log.
func (t *tap) setReceiveOptions(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return fmt.Errorf("what the kernel says of checksums: %w", err)
	}
	// The newer of the two forms has 64-bit seconds on 32-bit hosts too.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1); err != nil {
		t.log.Warn("no kernel timestamps, so wake latency will not be measured", "event", "timestamps_missing", "err", err)
	}
	t.setBuffer(fd, "receive", receiveBuffer, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	return nil
}

// setBuffer goes beyond the system's limit where we may (CAP_NET_ADMIN), and up
// to it otherwise.
func (t *tap) setBuffer(fd int, which string, size, force, ordinary int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) == nil {
		return
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, ordinary, size); err != nil {
		t.log.Warn("cannot enlarge the socket buffer", "event", "buffer_small", "buffer", which, "octets", size, "err", err)
	}
}
