package lan

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// groups are the solicited-node groups that were joined on one interface.
//
// Memberships belong to a socket. The sockets here are bound to no port, so they
// receive nothing; the frames come by the packet socket.
type groups struct {
	index int

	mu      sync.Mutex
	sockets []int
	members map[netip.Addr]*membership
	closed  bool
}

type membership struct {
	socket int
	count  int // addresses that share the group
}

func newGroups(index int) *groups {
	return &groups{index: index, members: make(map[netip.Addr]*membership)}
}

// solicitedNode returns the group to which solicitations for ip are sent (RFC
// 4291, section 2.7.1).
func solicitedNode(ip netip.Addr) (netip.Addr, error) {
	group, err := ndp.SolicitedNodeMulticast(plain(ip))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("solicited-node group of %v: %w", ip, err)
	}
	return group, nil
}

func (g *groups) join(ip netip.Addr) error {
	if ip.Is4() {
		return nil
	}
	group, err := solicitedNode(ip)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return fmt.Errorf("join %v: %w", group, net.ErrClosed)
	}
	if m, ok := g.members[group]; ok {
		m.count++
		return nil
	}
	socket, err := g.joinOnSome(group)
	if err != nil {
		return fmt.Errorf("join %v: %w", group, err)
	}
	g.members[group] = &membership{socket: socket, count: 1}
	return nil
}

func (g *groups) leave(ip netip.Addr) error {
	if ip.Is4() {
		return nil
	}
	group, err := solicitedNode(ip)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m, ok := g.members[group]
	if !ok {
		return fmt.Errorf("leave %v: not joined for %v", group, ip)
	}
	m.count--
	if m.count > 0 {
		return nil
	}
	delete(g.members, group)
	if err := unix.SetsockoptIPv6Mreq(m.socket, unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, g.request(group)); err != nil {
		return fmt.Errorf("leave %v: %w", group, err)
	}
	return nil
}

// joinOnSome joins group on the first socket that has room, or on a new one: the
// kernel keeps a socket's memberships in its option memory, which is small.
func (g *groups) joinOnSome(group netip.Addr) (int, error) {
	request := g.request(group)
	for _, socket := range slices.Backward(g.sockets) {
		err := unix.SetsockoptIPv6Mreq(socket, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, request)
		if !errors.Is(err, unix.ENOMEM) && !errors.Is(err, unix.ENOBUFS) {
			return socket, err
		}
	}
	socket, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := unix.SetsockoptIPv6Mreq(socket, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, request); err != nil {
		return -1, errors.Join(err, unix.Close(socket))
	}
	g.sockets = append(g.sockets, socket)
	return socket, nil
}

func (g *groups) request(group netip.Addr) *unix.IPv6Mreq {
	return &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(g.index)}
}

// close leaves all groups.
func (g *groups) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var err error
	for _, socket := range g.sockets {
		err = errors.Join(err, unix.Close(socket))
	}
	g.sockets, g.closed = nil, true
	clear(g.members)
	return err
}
