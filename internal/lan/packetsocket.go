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

// packetSocket is a packet socket on one network interface, with a kernel filter and a
// reader. It is the common part of Interface, Neighbors, Outgoing and Loopback.
type packetSocket struct {
	name  string
	index int
	log   *slog.Logger

	conn packetConn
	raw  syscall.RawConn

	closed   atomic.Bool
	rejected [verdicts]atomic.Uint64

	filterMu sync.Mutex                   // held while the filter is replaced
	twin     atomic.Pointer[packetSocket] // the other socket of a fanout group, with the same filter; nil without one

	dropsMu sync.Mutex
	drops   uint64
}

// packetConn are the methods of *packet.Conn that a packetSocket uses.
type packetConn interface {
	Close() error
	SetBPF([]bpf.RawInstruction) error
	SetPromiscuous(bool) error
	SetReadDeadline(time.Time) error
	Stats() (*packet.Stats, error)
	SyscallConn() (syscall.RawConn, error)
}

// open opens the socket with a filter for s.
func (t *packetSocket) open(ifi *net.Interface, s sets, log *slog.Logger) error {
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

// Name returns the name of the interface when it was opened.
func (t *packetSocket) Name() string { return t.name }

// Index returns the index of the interface.
func (t *packetSocket) Index() int { return t.index }

// close closes the socket. Only the first call has an effect.
func (t *packetSocket) close() error {
	if t.closed.Swap(true) {
		return t.unlessClosed(net.ErrClosed)
	}
	return t.conn.Close()
}

// unlessClosed adds the name of the interface to err, and replaces err by net.ErrClosed
// if the socket is closed, for which the kernel has several errors.
func (t *packetSocket) unlessClosed(err error) error {
	if t.closed.Load() {
		err = net.ErrClosed
	}
	return fmt.Errorf("interface %s: %w", t.name, err)
}

// swap replaces the filter by one for s.
func (t *packetSocket) swap(s sets) error {
	t.filterMu.Lock()
	defer t.filterMu.Unlock()
	// The kernel charges a filter to the small option memory of the socket, and holds
	// the old and the new filter at once. A coarse filter in between makes room. It
	// passes more frames, never fewer.
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
		t.log.Warn("too many addresses for the kernel filter: it passes more traffic than needed; a larger net.core.optmem_max may help", "event", "filter_coarse",
			"machines", macs, "addresses", addrs)
	}
	return nil
}

const (
	coarse          = 0   // no room for any set
	minInstructions = 128 // the smallest filter that swap tries
)

// attach sets the filter for s with at most limit instructions, on t and its twin. whole
// reports whether the filter holds all sets.
func (t *packetSocket) attach(s sets, limit int) (whole bool, err error) {
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

// Drops returns how many frames the kernel has dropped on this socket since Open because
// the reader was too slow.
func (t *packetSocket) Drops() uint64 {
	t.dropsMu.Lock()
	defer t.dropsMu.Unlock()
	// The kernel resets its count at every read. After an error (the socket is closed)
	// the count so far is valid.
	if stats, err := t.conn.Stats(); err == nil {
		t.drops += uint64(stats.Drops)
	}
	return t.drops
}

// unread reports whether received frames wait for Run.
func (t *packetSocket) unread() bool {
	next := 0 // the length of the next frame in bytes
	err := t.raw.Control(func(fd uintptr) { next, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	return err == nil && next > 0
}

// Rejected returns how many frames Run has rejected since Open, by reason. Every reason
// has an entry, also with 0.
func (t *packetSocket) Rejected() map[Verdict]uint64 {
	counts := make(map[Verdict]uint64, verdicts-1)
	for v := Accepted + 1; v < verdicts; v++ {
		counts[v] = t.rejected[v].Load()
	}
	return counts
}

// openError adds the remedy for a missing capability.
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
	// The room for a burst: the kernel charges some 2 MiB of socket memory for a
	// thousand knocks at once. An empty queue uses none.
	receiveBuffer = 4 << 20
	sendBuffer    = 1 << 20

	// The mark (SO_MARK) of the frames that an Interface sends, by which the filter of
	// an Outgoing recognizes them. A mark is local to the host and not part of the
	// frame. The value has to be unused by other programs.
	ownMark = 0x6e707472
)

// configure sets options of the socket.
func (t *packetSocket) configure(set func(fd int) error) error {
	var failed error
	if err := t.raw.Control(func(fd uintptr) { failed = set(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// setReceiveOptions sets the options that every socket needs. The failure of an optional
// one leads to a log line only.
func (t *packetSocket) setReceiveOptions(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return fmt.Errorf("checksum status: %w", err)
	}
	// The newer of the two options has 64-bit seconds on 32-bit hosts too.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1); err != nil {
		t.log.Warn("no kernel timestamps: wake latency is not measured", "event", "timestamps_missing", "err", err)
	}
	t.setBuffer(fd, "receive", receiveBuffer, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	return nil
}

// setBuffer sets a buffer size beyond the limit of the system if CAP_NET_ADMIN allows it,
// and otherwise up to the limit.
func (t *packetSocket) setBuffer(fd int, which string, size, force, ordinary int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) == nil {
		return
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, ordinary, size); err != nil {
		t.log.Warn("cannot enlarge the socket buffer", "event", "buffer_small", "buffer", which, "octets", size, "err", err)
	}
}
