package lan

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"nightporter/internal/machine"
)

const sysClassNet = "/sys/class/net"

// Interface is one network interface with a packet socket on it. All its
// methods are safe for concurrent use.
type Interface struct {
	name     string
	index    int
	mac      machine.MAC
	wireless bool
	log      *slog.Logger

	conn   packetConn
	raw    syscall.RawConn
	sender *sender
	groups *groups

	closed   atomic.Bool
	rejected [verdicts]atomic.Uint64

	interestMu sync.Mutex // one swap of the filter at a time

	dropsMu sync.Mutex
	drops   uint64
}

// packetConn is what an Interface needs of a *packet.Conn.
type packetConn interface {
	Close() error
	SetBPF([]bpf.RawInstruction) error
	SetPromiscuous(bool) error
	SetReadDeadline(time.Time) error
	Stats() (*packet.Stats, error)
	SyscallConn() (syscall.RawConn, error)
}

// Open opens a packet socket on the interface name, which must be an Ethernet
// (or Wi-Fi) interface that is up and has an address. Until SetInterest the
// reader sees ARP and neighbour discovery only.
//
// It needs CAP_NET_RAW; without it the error says how to get it. Other errors
// name the interface and what is wrong with it.
func Open(name string, log *slog.Logger) (*Interface, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ifi, err := usable(name)
	if err != nil {
		return nil, err
	}
	filter, err := Interest{}.program()
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: filter})
	if err != nil {
		return nil, openError(name, err)
	}
	i := &Interface{
		name:     name,
		index:    ifi.Index,
		mac:      machine.MAC(ifi.HardwareAddr),
		wireless: isWireless(sysClassNet, name),
		log:      log.With("interface", name),
		conn:     conn,
		groups:   newGroups(ifi.Index),
	}
	if err := i.configure(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	i.sender = newSender(i.raw)
	return i, nil
}

// Name returns the interface's name, as it was when the interface was opened.
func (i *Interface) Name() string { return i.name }

// Index returns the kernel's number of the interface.
func (i *Interface) Index() int { return i.index }

// MAC returns the interface's own address, as it was when the interface was opened.
func (i *Interface) MAC() machine.MAC { return i.mac }

// Wireless reports whether this is a Wi-Fi interface.
func (i *Interface) Wireless() bool { return i.wireless }

// Close closes the socket and leaves all groups. Run, if it is running, returns
// an error that is net.ErrClosed, and so does everything that is called later.
func (i *Interface) Close() error {
	if i.closed.Swap(true) {
		return i.unlessClosed(net.ErrClosed)
	}
	return errors.Join(i.conn.Close(), i.groups.close())
}

// unlessClosed puts i's name before err, and says that i is closed if that is
// the reason: the socket's own errors for it are of several kinds.
func (i *Interface) unlessClosed(err error) error {
	if i.closed.Load() {
		err = net.ErrClosed
	}
	return fmt.Errorf("interface %s: %w", i.name, err)
}

// SetInterest changes what Run gets to see. The kernel swaps the filter in one
// step: there is no moment without one. Frames that are already queued still
// come through. It is an error if the kernel takes no filter for in; Run then
// sees what it saw before, or everything.
func (i *Interface) SetInterest(in Interest) error {
	i.interestMu.Lock()
	defer i.interestMu.Unlock()
	// The kernel charges a filter to the socket's option memory, which is small,
	// and the old one is still there while the new one comes in. A coarse filter
	// in between makes room; it passes more than is wanted, never less.
	whole, err := i.attach(in, maxInstructions)
	for limit := maxInstructions; errors.Is(err, unix.ENOMEM) && limit >= minInstructions; limit /= 2 {
		if _, err = i.attach(in, coarse); err != nil {
			break
		}
		whole, err = i.attach(in, limit)
	}
	if err != nil {
		return i.unlessClosed(fmt.Errorf("kernel filter for %d machines and %d addresses: %w (net.core.optmem_max limits it)",
			len(in.MACs), len(in.Addrs), err))
	}
	if !whole {
		i.log.Warn("too many addresses for the kernel filter, so it passes more traffic than needed; a larger net.core.optmem_max may help",
			"machines", len(in.MACs), "addresses", len(in.Addrs))
	}
	return nil
}

const (
	coarse          = 0   // no room: every set is given up
	minInstructions = 128 // SetInterest tries no smaller filter
)

// attach puts in place the filter for in of at most limit instructions, and
// tells whether it holds all of in's sets.
func (i *Interface) attach(in Interest, limit int) (whole bool, err error) {
	program, whole, err := in.programWithin(limit)
	if err != nil {
		return false, err
	}
	return whole, i.conn.SetBPF(program)
}

// Drops returns how many frames the kernel has dropped on this socket since
// Open because the reader was too slow.
func (i *Interface) Drops() uint64 {
	i.dropsMu.Lock()
	defer i.dropsMu.Unlock()
	// The kernel starts again from 0 after every read. On an error (the socket
	// is closed) what is known already is still true.
	if stats, err := i.conn.Stats(); err == nil {
		i.drops += uint64(stats.Drops)
	}
	return i.drops
}

// Rejected returns how many frames Run has thrown away since Open, by reason.
// Every reason is there, also at 0.
func (i *Interface) Rejected() map[Verdict]uint64 {
	counts := make(map[Verdict]uint64, verdicts-1)
	for v := Accepted + 1; v < verdicts; v++ {
		counts[v] = i.rejected[v].Load()
	}
	return counts
}

// JoinSolicitedNode joins the solicited-node group of an IPv6 address through
// the kernel, which tells switches that snoop on multicast listeners (MLD) to
// send solicitations our way. Addresses share groups: every Join needs its
// Leave. For an IPv4 address there is nothing to join.
func (i *Interface) JoinSolicitedNode(ip netip.Addr) error {
	if err := i.groups.join(ip); err != nil {
		return i.unlessClosed(err)
	}
	return nil
}

// LeaveSolicitedNode takes one JoinSolicitedNode of the same group back. It is
// an error to leave a group that was not joined.
func (i *Interface) LeaveSolicitedNode(ip netip.Addr) error {
	if err := i.groups.leave(ip); err != nil {
		return i.unlessClosed(err)
	}
	return nil
}

// usable returns the interface if the porter can work on it, or says why not.
func usable(name string) (*net.Interface, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w; there are: %s", name, err, interfaceNames())
	}
	var link rtnetlink.LinkMessage
	err = withNetlink(func(c *rtnetlink.Conn) (err error) {
		link, err = c.Link.Get(uint32(ifi.Index))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	if link.Type != unix.ARPHRD_ETHER || len(ifi.HardwareAddr) != len(machine.MAC{}) {
		return nil, fmt.Errorf("interface %q is not Ethernet (link type %d): expected an Ethernet or Wi-Fi interface", name, link.Type)
	}
	if ifi.Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("interface %q is down: bring it up with `ip link set %s up`", name, name)
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil, fmt.Errorf("interface %q: addresses: %w", name, err)
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("interface %q has no IP address: give it one first", name)
	}
	return ifi, nil
}

func interfaceNames() string {
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Sprintf("unknown (%v)", err)
	}
	names := make([]string, len(all))
	for i, ifi := range all {
		names[i] = ifi.Name
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
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
		name, err, binary)
}

// isWireless looks for what sysfs has only for Wi-Fi interfaces.
func isWireless(sysfs, name string) bool {
	for _, entry := range []string{"wireless", "phy80211"} {
		if _, err := os.Stat(filepath.Join(sysfs, name, entry)); err == nil {
			return true
		}
	}
	return false
}
