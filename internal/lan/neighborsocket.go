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

// Neighbors is a second packet socket on an interface, for ARP and neighbor discovery.
// Each request is answered, which takes several times as long as to examine a packet: in
// one queue with them a knock would wait behind the requests of a flood, or be lost when
// the queue is full. Its methods are safe for concurrent use.
type Neighbors struct {
	packetSocket
}

// OpenNeighbors opens that socket. From then on i receives no ARP, no solicitations and
// no advertisements. Close of i does not close it. The errors are those of Open.
//
// The two sockets are a fanout group (packet(7), PACKET_FANOUT), in which the kernel
// chooses the socket of each frame, so the host examines its packets once, not twice.
// Both have the filter of i, because the kernel may exchange their places in the group
// while the interface is down.
func (i *Interface) OpenNeighbors(log *slog.Logger) (*Neighbors, error) {
	n := new(Neighbors)
	ifi := &net.Interface{Index: i.index, Name: i.name, HardwareAddr: i.mac.HardwareAddr()}
	if err := n.open(ifi, Interest{}.sets(), log); err != nil {
		return nil, err
	}
	var group int
	err := i.packetSocket.configure(func(fd int) (err error) {
		group, err = foundGroup(fd)
		return err
	})
	if err == nil {
		err = n.configure(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, group) })
	}
	if err != nil {
		return nil, errors.Join(i.unlessClosed(fmt.Errorf("dividing the frames between two packet sockets: %w", err)), n.close())
	}
	i.twin.Store(&n.packetSocket)
	return n, nil
}

// Close closes the socket. A running Run returns net.ErrClosed, and so do later calls.
func (n *Neighbors) Close() error { return n.close() }

// fanout is the kind of the group: a program chooses the socket, no other process can
// join, and frames of the host itself are left out.
const fanout = unix.PACKET_FANOUT_CBPF | unix.PACKET_FANOUT_FLAG_UNIQUEID | unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING

// foundGroup makes the socket the first of a fanout group and returns the value with
// which another one joins it.
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

// networkHeader is the offset of the packet behind the link layer in a program of the
// kernel (SKF_NET_OFF of linux/filter.h).
const networkHeader = 0xfff00000

// chooser returns the program that gives ARP, solicitations and advertisements to the
// second of two sockets, and the rest to the first.
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
