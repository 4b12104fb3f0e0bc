package lan

import (
	"log/slog"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Neighbors is a second packet socket on an interface, for ARP and neighbour
// discovery alone. Each question is answered, which costs several times what it
// takes to look at a packet: in one queue with them a knock would wait behind all
// the questions of a flood, or be lost when the queue is full. All its methods
// are safe for concurrent use.
type Neighbors struct {
	tap
}

// OpenNeighbors opens that socket, and has i see no ARP, no solicitations and no
// advertisements from then on. Close closes it; i does not. The errors are those
// of Open.
func (i *Interface) OpenNeighbors(log *slog.Logger) (*Neighbors, error) {
	ifi, err := usable(i.name)
	if err != nil {
		return nil, err
	}
	n := new(Neighbors)
	if err := n.open(ifi, sets{part: neighborsOnly}, log); err != nil {
		return nil, err
	}
	i.split.Store(true)
	if err := i.SetInterest(Interest{}); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// Close closes the socket. Run, if it is running, returns an error that is
// net.ErrClosed, and so does everything that is called later.
func (n *Neighbors) Close() error { return n.close() }

// part is which frames a socket is for.
type part uint8

const (
	everything    part = iota
	neighborsOnly      // ARP, solicitations and advertisements
	noNeighbors        // all others
)

// divide leaves out what another socket sees, and accepts what only this one
// does. The EtherType is in register A, before and after.
func (a *assembler) divide(p part) {
	if p == everything {
		return
	}
	found := a.drop
	if p == neighborsOnly {
		found = a.accept
	}
	a.emit(bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_ARP, SkipTrue: 1})
	found()
	a.emit(
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IPV6, SkipTrue: 7},
		bpf.LoadAbsolute{Off: offNext6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 4},
		bpf.LoadAbsolute{Off: offICMPType, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(ipv6.ICMPTypeNeighborSolicitation), SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(ipv6.ICMPTypeNeighborAdvertisement), SkipTrue: 1},
	)
	found()
	a.emit(bpf.LoadAbsolute{Off: offType, Size: 2})
}
