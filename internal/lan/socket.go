package lan

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// Room for a burst: a thousand knocks at once are some 2 MiB of socket
	// memory, as the kernel counts it. None of it is used while nothing is queued.
	receiveBuffer = 4 << 20
	sendBuffer    = 1 << 20
)

// configure sets the options of i's socket. Those that only make things better
// are allowed to fail, and leave a line in the log.
func (i *Interface) configure() error {
	raw, err := i.conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("interface %s: packet socket: %w", i.name, err)
	}
	i.raw = raw
	var failed error
	err = raw.Control(func(fd uintptr) { failed = i.setOptions(int(fd)) })
	if err != nil {
		return fmt.Errorf("interface %s: packet socket: %w", i.name, err)
	}
	if failed != nil {
		return fmt.Errorf("interface %s: %w", i.name, failed)
	}
	if !i.wireless {
		return nil
	}
	if err := i.conn.SetPromiscuous(true); err != nil {
		return fmt.Errorf("interface %s: promiscuous mode: %w", i.name, err)
	}
	i.log.Info("promiscuous mode is on: this is a Wi-Fi interface, and its chip would answer ARP for its own addresses only")
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
		i.log.Debug("cannot ignore outgoing frames in the socket", "error", err)
	}
	// The newer of the two forms has 64-bit seconds on 32-bit hosts too.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1); err != nil {
		i.log.Warn("no kernel timestamps, so wake latency will not be measured", "error", err)
	}
	i.setBuffer(fd, "receive", receiveBuffer, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	i.setBuffer(fd, "send", sendBuffer, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	return nil
}

// setBuffer goes beyond the system's limit where we may (CAP_NET_ADMIN), and up
// to it otherwise.
func (i *Interface) setBuffer(fd int, which string, size, force, ordinary int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) == nil {
		return
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, ordinary, size); err != nil {
		i.log.Warn("cannot enlarge the socket buffer", "buffer", which, "octets", size, "error", err)
	}
}
