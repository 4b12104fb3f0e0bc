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
