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
	joinedGroups = "/proc/thread-self/net/igmp6" // of this thread's network namespace
)

// Interface is one network interface with a packet socket on it. All its
// methods are safe for concurrent use.
type Interface struct {
	tap
	mac      ether.MAC
	mtu      int
	wireless bool

	sender *sender
	groups *groups
}

// Open opens a packet socket on the interface name, which must be an Ethernet
// (or Wi-Fi) interface that is up and has an address. Until SetInterest the
// reader sees ARP and neighbour discovery only.
//
// It needs CAP_NET_RAW; without it the error says how to get it. Other errors
// name the interface and what is wrong with it.
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
	i.sender = newSender(i.raw)
	return i, nil
}

// MAC returns the interface's own address, as it was when the interface was opened.
func (i *Interface) MAC() ether.MAC { return i.mac }

// MTU returns the length in octets of the largest IP packet that the interface
// takes, as it was when the interface was opened.
func (i *Interface) MTU() int { return i.mtu }

// Wireless reports whether this is a Wi-Fi interface.
func (i *Interface) Wireless() bool { return i.wireless }

// Closed reports whether Close was called.
func (i *Interface) Closed() bool { return i.closed.Load() }

// Close closes the socket and leaves all groups. Run, if it is running, returns
// an error that is net.ErrClosed, and so does everything that is called later, but
// for joining and leaving groups: that counts for the interface that adopts them.
func (i *Interface) Close() error {
	return errors.Join(i.close(), i.groups.close())
}

// SetInterest changes what Run gets to see. The kernel swaps the filter in one
// step: there is no moment without one. Frames that are already queued still
// come through. It is an error if the kernel takes no filter for in; Run then
// sees what it saw before, or everything.
func (i *Interface) SetInterest(in Interest) error {
	return i.swap(in.sets())
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

// AdoptGroups takes over the solicited-node groups of old, which is closed: joins
// them, and needs their Leaves. After an error CheckGroups tries again.
func (i *Interface) AdoptGroups(old *Interface) error {
	if err := i.groups.adopt(old.groups); err != nil {
		return i.unlessClosed(fmt.Errorf("solicited-node groups: %w", err))
	}
	return nil
}

// CheckGroups joins the solicited-node groups anew if the kernel has lost any,
// as it does with IPv6 on the interface.
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

// isWireless looks for what sysfs has only for Wi-Fi interfaces.
func isWireless(sysfs, name string) bool {
	for _, entry := range []string{"wireless", "phy80211"} {
		if _, err := os.Stat(filepath.Join(sysfs, name, entry)); err == nil {
			return true
		}
	}
	return false
}

// Send puts one whole Ethernet frame on the wire, or says why it could not. It
// does not wait: a full queue (EAGAIN, ENOBUFS) is an error. It does not
// allocate, and does not keep frame.
func (i *Interface) Send(frame []byte) error {
	if err := i.sender.send(frame); err != nil {
		return i.unlessClosed(fmt.Errorf("send a frame of %d octets: %w", len(frame), err))
	}
	return nil
}

// sender keeps what a write needs from one frame to the next, so that none of
// it is allocated again.
type sender struct {
	raw   syscall.RawConn
	write func(fd uintptr) bool

	mu    sync.Mutex
	frame []byte
	err   error
}

func newSender(raw syscall.RawConn) *sender {
	s := &sender{raw: raw}
	s.write = s.writeOnce
	return s
}

func (s *sender) send(frame []byte) error {
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

// writeOnce always is done: to wait until the queue has room again would hold up
// the caller for a frame that is late by then.
func (s *sender) writeOnce(fd uintptr) bool {
	for {
		_, s.err = unix.Write(int(fd), s.frame)
		if s.err != unix.EINTR {
			return true
		}
	}
}

// configure sets what an Interface needs besides: to hear what is not for the
// host, and to send.
func (i *Interface) configure() error {
	if err := i.tap.configure(i.setOptions); err != nil {
		return fmt.Errorf("interface %s: %w", i.name, err)
	}
	if !i.wireless {
		return nil
	}
	if err := i.conn.SetPromiscuous(true); err != nil {
		return fmt.Errorf("interface %s: promiscuous mode: %w", i.name, err)
	}
	i.log.Info("promiscuous mode is on: this is a Wi-Fi interface, and its chip would answer ARP for its own addresses only", "event", "promiscuous")
	return nil
}

func (i *Interface) setOptions(fd int) error {
	// Solicitations go to groups that the NIC's own filter does not know.
	mreq := unix.PacketMreq{Ifindex: int32(i.index), Type: unix.PACKET_MR_ALLMULTI}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
		return fmt.Errorf("receive all multicast: %w", err)
	}
	// The filter drops our own frames too; this saves the way to it.
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		i.log.Debug("cannot ignore outgoing frames in the socket", "event", "socket_option_failed", "err", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, ownMark); err != nil {
		i.log.Warn("cannot mark the porter's own frames, so they look like those of local programs", "event", "mark_failed", "err", err)
	}
	i.setBuffer(fd, "send", sendBuffer, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	return nil
}
