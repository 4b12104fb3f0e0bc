package lan

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// groups are the solicited-node groups that were joined on one interface.
//
// A membership belongs to a socket. The sockets here are bound to no port and receive
// nothing: the frames arrive on the packet socket.
type groups struct {
	index int

	mu      sync.Mutex
	sockets []int
	members map[netip.Addr]*membership // nil: adopted by other groups
	closed  bool                       // without sockets; the members wait for adoption
}

type membership struct {
	socket int // noSocket: not joined so far
	count  int // addresses that share the group
}

const noSocket = -1

func newGroups(index int) *groups {
	return &groups{index: index, members: make(map[netip.Addr]*membership)}
}

// solicitedNode returns the group to which solicitations for ip are sent (RFC 4291
// section 2.7.1).
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
	if g.members == nil {
		return fmt.Errorf("join %v: %w", group, net.ErrClosed)
	}
	if m, ok := g.members[group]; ok {
		m.count++
		return nil
	}
	socket := noSocket
	if !g.closed {
		if socket, err = g.joinOnSome(group); err != nil {
			return fmt.Errorf("join %v: %w", group, err)
		}
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
	if g.closed || m.socket == noSocket {
		return nil
	}
	if err := unix.SetsockoptIPv6Mreq(m.socket, unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, g.request(group)); err != nil {
		return fmt.Errorf("leave %v: %w", group, err)
	}
	return nil
}

// joinOnSome joins group on the first socket with room or on a new one: the kernel keeps
// the memberships of a socket in its small option memory.
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

// adopt joins the groups of old, which is closed. A failed join is tried again by check.
func (g *groups) adopt(old *groups) error {
	old.mu.Lock()
	defer old.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.members == nil {
		return net.ErrClosed
	}
	for group, m := range old.members {
		mine, ok := g.members[group]
		if !ok {
			mine = &membership{socket: noSocket}
			g.members[group] = mine
		}
		mine.count += m.count
	}
	old.members = nil
	return g.rejoin()
}

// check joins every group again that the kernel is not in; there are the groups that it
// is in. The kernel leaves all groups when IPv6 is disabled on the interface, as by an
// MTU below 1280, but the old sockets still count as members, so they are closed. A
// failed join is tried again by the next check.
func (g *groups) check(there map[netip.Addr]bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for group := range g.members {
		if !there[group] {
			return g.rejoin()
		}
	}
	return nil
}

func (g *groups) rejoin() error {
	if g.closed {
		return net.ErrClosed
	}
	var failed error
	for _, socket := range g.sockets {
		failed = errors.Join(failed, unix.Close(socket))
	}
	g.sockets = nil
	for group, m := range g.members {
		var err error
		if m.socket, err = g.joinOnSome(group); err != nil {
			m.socket = noSocket
			failed = errors.Join(failed, fmt.Errorf("join %v: %w", group, err))
		}
	}
	return failed
}

func (g *groups) request(group netip.Addr) *unix.IPv6Mreq {
	return &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(g.index)}
}

// close leaves all groups. The members stay for adopt, and can be joined and left until
// then.
func (g *groups) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var err error
	for _, socket := range g.sockets {
		err = errors.Join(err, unix.Close(socket))
	}
	g.sockets, g.closed = nil, true
	return err
}

// groupsOf returns the groups of the kernel on the interface name from the text of igmp6:
// index, name, address in hexadecimal, and more.
func groupsOf(igmp6, name string) map[netip.Addr]bool {
	there := make(map[netip.Addr]bool)
	for line := range strings.Lines(igmp6) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[1] != name {
			continue
		}
		if b, err := hex.DecodeString(fields[2]); err == nil {
			if group, ok := netip.AddrFromSlice(b); ok {
				there[group] = true
			}
		}
	}
	return there
}
