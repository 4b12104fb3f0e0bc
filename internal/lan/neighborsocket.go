package lan

import (
	"errors"
	"fmt"
	"log/slog"
	"net"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Neighbors is a second packet socket on an interface, for ARP and neighbour
// discovery. Each question is answered, which costs several times what it takes
// to look at a packet: in one queue with them a knock would wait behind all the
// questions of a flood, or be lost when the queue is full. All its methods are
// safe for concurrent use.
type Neighbors struct {
	tap
}

// OpenNeighbors opens that socket, and has i see no ARP, no solicitations and no
// advertisements from then on. Close closes it; i does not. The errors are those
// of Open.
//
// The two are a group (packet(7), PACKET_FANOUT), in which the kernel chooses the
// socket of each frame: the host pays for one look at its packets, not for two.
// Both have the filter of i, because the kernel may change their places in the
// group while the interface is down.
func (i *Interface) OpenNeighbors(log *slog.Logger) (*Neighbors, error) {
	n := new(Neighbors)
	ifi := &net.Interface{Index: i.index, Name: i.name, HardwareAddr: i.mac.HardwareAddr()}
	if err := n.open(ifi, Interest{}.sets(), log); err != nil {
		return nil, err
	}
	var group int
	err := i.tap.configure(func(fd int) (err error) {
		group, err = foundGroup(fd)
		return err
	})
	if err == nil {
		err = n.configure(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, group) })
	}
	if err != nil {
		return nil, errors.Join(i.unlessClosed(fmt.Errorf("dividing the frames between two packet sockets: %w", err)), n.close())
	}
	i.twin.Store(&n.tap)
	return n, nil
}

// Close closes the socket. Run, if it is running, returns an error that is
// net.ErrClosed, and so does everything that is called later.
func (n *Neighbors) Close() error { return n.close() }

// fanout is the kind of a group: a program of ours chooses, nobody else's socket
// gets into it, and what the host itself sends is not for it.
const fanout = unix.PACKET_FANOUT_CBPF | unix.PACKET_FANOUT_FLAG_UNIQUEID | unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING

// foundGroup makes the socket the first of a group, and returns what another
// joins it with.
func foundGroup(fd int) (group int, err error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, fanout<<16); err != nil {
		return 0, err
	}
	program, err := bpf.Assemble(chooser())
	if err != nil {
		return 0, err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, p := range program {
		filter[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	chosen := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, &chosen); err != nil {
		return 0, err
	}
	return unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT) // with its kind
}

// networkHeader is where the kernel's program finds the packet behind the link
// layer (SKF_NET_OFF of linux/filter.h).
const networkHeader = 0xfff00000

// chooser returns the program that has the second of two sockets see ARP,
// solicitations and advertisements, and the first all else.
func chooser() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtProto},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipTrue: 6},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IPV6, SkipTrue: 6},
		bpf.LoadAbsolute{Off: networkHeader + offNext6 - ethernetHeader, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 4},
		bpf.LoadAbsolute{Off: networkHeader + offICMPType - ethernetHeader, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(ipv6.ICMPTypeNeighborSolicitation), SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(ipv6.ICMPTypeNeighborAdvertisement), SkipTrue: 1},
		bpf.RetConstant{Val: 1},
		bpf.RetConstant{Val: 0},
	}
}
