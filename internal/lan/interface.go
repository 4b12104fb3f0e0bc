package lan

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

const (
	sysClassNet  = "/sys/class/net"
	joinedGroups = "/proc/thread-self/net/igmp6" // of the network namespace of the thread
)

// Interface is one network interface with a packet socket. Its methods are safe for
// concurrent use.
type Interface struct {
	packetSocket
	mac      ether.MAC
	mtu      int
	wireless bool

	sender *frameWriter
	groups *groups
}

// Open opens a packet socket on the interface name, which must be an Ethernet or Wi-Fi
// interface that is up and has an address. Until SetInterest the reader receives ARP and
// neighbor discovery only.
//
// Open needs CAP_NET_RAW. Without it the error states how to grant it. Other errors name
// the interface and its fault.
func Open(name string, log *slog.Logger) (*Interface, error) {
	ifi, err := usable(name)
	if err != nil {
		return nil, err
	}
	i := &Interface{
		mac:      ether.MAC(ifi.HardwareAddr),
		mtu:      ifi.MTU,
		wireless: isWireless(sysClassNet, name),
		groups:   newGroups(ifi.Index),
	}
	if err := i.open(ifi, Interest{}.sets(), log); err != nil {
		return nil, err
	}
	if err := i.configure(); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	i.sender = newFrameWriter(i.raw)
	return i, nil
}

// MAC returns the link-layer address of the interface when it was opened.
func (i *Interface) MAC() ether.MAC { return i.mac }

// MTU returns the MTU of the interface when it was opened: the length of the largest IP
// packet in octets.
func (i *Interface) MTU() int { return i.mtu }

// Wireless reports whether this is a Wi-Fi interface.
func (i *Interface) Wireless() bool { return i.wireless }

// Closed reports whether Close was called.
func (i *Interface) Closed() bool { return i.closed.Load() }

// Close closes the socket and leaves all groups. A running Run returns net.ErrClosed, and
// so do later calls, except those that join and leave groups: these count for the
// Interface that adopts them.
func (i *Interface) Close() error {
	return errors.Join(i.close(), i.groups.close())
}

// SetInterest changes which frames Run receives. The kernel replaces the filter
// atomically. Frames in the queue still arrive. It is an error if the kernel rejects the
// filter; Run then receives what it did before, or everything.
func (i *Interface) SetInterest(in Interest) error {
	return i.swap(in.sets())
}

// JoinSolicitedNode joins the solicited-node group of an IPv6 address through the kernel,
// which reports it to switches with MLD snooping. Several addresses may share a group:
// each Join needs its Leave. It does nothing for an IPv4 address.
func (i *Interface) JoinSolicitedNode(ip netip.Addr) error {
	if err := i.groups.join(ip); err != nil {
		return i.unlessClosed(err)
	}
	return nil
}

// LeaveSolicitedNode undoes one JoinSolicitedNode of the same group. It is an error to
// leave a group that was not joined.
func (i *Interface) LeaveSolicitedNode(ip netip.Addr) error {
	if err := i.groups.leave(ip); err != nil {
		return i.unlessClosed(err)
	}
	return nil
}

// AdoptGroups joins the solicited-node groups of old, which is closed. They then need
// their Leaves here. After an error CheckGroups tries again.
func (i *Interface) AdoptGroups(old *Interface) error {
	if err := i.groups.adopt(old.groups); err != nil {
		return i.unlessClosed(fmt.Errorf("solicited-node groups: %w", err))
	}
	return nil
}

// CheckGroups joins the solicited-node groups again that the kernel has lost, as it does
// when IPv6 is disabled on the interface.
func (i *Interface) CheckGroups() error {
	b, err := os.ReadFile(joinedGroups)
	if err == nil {
		err = i.groups.check(groupsOf(string(b), i.name))
	}
	if err != nil {
		return i.unlessClosed(fmt.Errorf("solicited-node groups: %w", err))
	}
	return nil
}

// isWireless reports whether sysfs has the entries of a Wi-Fi interface.
func isWireless(sysfs, name string) bool {
	for _, entry := range []string{"wireless", "phy80211"} {
		if _, err := os.Stat(filepath.Join(sysfs, name, entry)); err == nil {
			return true
		}
	}
	return false
}

// Send sends one whole Ethernet frame. It does not wait: a full queue is an error
// (EAGAIN, ENOBUFS). It does not allocate and does not keep frame.
func (i *Interface) Send(frame []byte) error {
	if err := i.sender.send(frame); err != nil {
		return i.unlessClosed(fmt.Errorf("send a frame of %d octets: %w", len(frame), err))
	}
	return nil
}

// frameWriter keeps the arguments of a write, so that no write allocates.
type frameWriter struct {
	raw   syscall.RawConn
	write func(fd uintptr) bool

	mu    sync.Mutex
	frame []byte
	err   error
}

func newFrameWriter(raw syscall.RawConn) *frameWriter {
	s := &frameWriter{raw: raw}
	s.write = s.writeOnce
	return s
}

func (s *frameWriter) send(frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frame, s.err = frame, nil
	err := s.raw.Write(s.write)
	s.frame = nil
	if err != nil {
		return err
	}
	return s.err
}

// writeOnce always returns true, which ends the write: to wait for room in the queue
// would delay the caller for a frame that is then too late.
func (s *frameWriter) writeOnce(fd uintptr) bool {
	for {
		_, s.err = unix.Write(int(fd), s.frame)
		if s.err != unix.EINTR {
			return true
		}
	}
}

// configure sets the options that only an Interface needs: to receive frames for other
// hosts, and to send.
func (i *Interface) configure() error {
	if err := i.packetSocket.configure(i.setOptions); err != nil {
		return fmt.Errorf("interface %s: %w", i.name, err)
	}
	if !i.wireless {
		return nil
	}
	if err := i.conn.SetPromiscuous(true); err != nil {
		return fmt.Errorf("interface %s: promiscuous mode: %w", i.name, err)
	}
	i.log.Info("promiscuous mode is on: the chip of a Wi-Fi interface may offload ARP for the addresses of the host only", "event", "promiscuous")
	return nil
}

func (i *Interface) setOptions(fd int) error {
	// The multicast filter of the NIC drops the groups of solicitations.
	mreq := unix.PacketMreq{Ifindex: int32(i.index), Type: unix.PACKET_MR_ALLMULTI}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
		return fmt.Errorf("receive all multicast: %w", err)
	}
	// The filter drops own frames too. This option drops them earlier.
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		i.log.Debug("cannot ignore outgoing frames in the socket", "event", "socket_option_failed", "err", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, ownMark); err != nil {
		i.log.Warn("cannot mark the frames of the porter: they are treated like frames of local programs", "event", "mark_failed", "err", err)
	}
	i.setBuffer(fd, "send", sendBuffer, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	return nil
}
