package registration

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/wait"
)

// Identity is what a machine needs to know of itself to register.
type Identity struct {
	Interface string
	MAC       ether.MAC
	Addrs     []netip.Addr // lasting ones of global scope, IPv4 first as the kernel lists them
}

// ErrThisHost says that an address is this host's own.
var ErrThisHost = errors.New("this host itself")

// Detect returns the identity of the interface that leads to addr ("host:port"). It sends no
// packet to addr, but may query a name server. The error is ErrThisHost if addr is of this host.
func Detect(ctx context.Context, addr string) (Identity, error) {
	local, err := sourceOf(ctx, addr)
	if err != nil {
		return Identity{}, fmt.Errorf("find the route to %s: %w", addr, err)
	}
	ifi, addrs, err := interfaceOf(local)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{Interface: ifi.Name}
	if len(ifi.HardwareAddr) != len(id.MAC) {
		return Identity{}, fmt.Errorf("the route to %s leads through %s, which has no Ethernet address", addr, ifi.Name)
	}
	copy(id.MAC[:], ifi.HardwareAddr)
	addrs = slices.DeleteFunc(addrs, func(ip netip.Addr) bool { return !ip.IsGlobalUnicast() })
	passing, err := settled(ctx, addrs)
	if err != nil {
		return Identity{}, err
	}
	for _, ip := range addrs {
		if passing[ip] == 0 {
			id.Addrs = append(id.Addrs, ip)
		}
	}
	if len(id.Addrs) == 0 {
		return Identity{}, fmt.Errorf("%s has no address of global scope", ifi.Name)
	}
	return id, nil
}

// Monitor returns a registration's list of addresses, each with all ports.
func (id Identity) Monitor(ports []WirePort) []WireAddress {
	monitor := make([]WireAddress, len(id.Addrs))
	for i, ip := range id.Addrs {
		monitor[i] = WireAddress{IP: ip.String(), Port: ports}
	}
	return monitor
}

// sourceOf returns the address that the kernel would send from. To connect a
// UDP socket looks the route up and sends nothing.
func sourceOf(ctx context.Context, addr string) (netip.Addr, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", addr)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	udp, ok := conn.LocalAddr().(*net.UDPAddr)
	to, toOK := conn.RemoteAddr().(*net.UDPAddr)
	if !ok || !toOK {
		return netip.Addr{}, errors.New("the kernel named no source address")
	}
	if to.IP.IsLoopback() || to.IP.Equal(udp.IP) {
		return netip.Addr{}, ErrThisHost
	}
	return udp.AddrPort().Addr().Unmap().WithZone(""), nil
}

// interfaceOf returns the interface that has the address ip, and all addresses
// of that interface.
func interfaceOf(ip netip.Addr) (net.Interface, []netip.Addr, error) {
	all, err := net.Interfaces()
	if err != nil {
		return net.Interface{}, nil, fmt.Errorf("list the interfaces: %w", err)
	}
	for _, ifi := range all {
		addrs, err := ifi.Addrs()
		if err != nil {
			return net.Interface{}, nil, fmt.Errorf("list the addresses of %s: %w", ifi.Name, err)
		}
		var found []netip.Addr
		mine := false
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue // not an IP address
			}
			found = append(found, p.Addr().Unmap())
			mine = mine || p.Addr().Unmap() == ip
		}
		if mine {
			return ifi, found, nil
		}
	}
	return net.Interface{}, nil, fmt.Errorf("no interface has the address %s", ip)
}

// Address flags of linux/if_addr.h that exclude an address: it is temporary, or not usable yet.
const (
	flagTemporary  = 0x01 // IFA_F_TEMPORARY: a privacy address, RFC 8981
	flagDADFailed  = 0x08 // IFA_F_DADFAILED
	flagDeprecated = 0x20 // IFA_F_DEPRECATED
	flagTentative  = 0x40 // IFA_F_TENTATIVE: duplicate address detection is under way
	flagsPassing   = flagTemporary | flagDADFailed | flagDeprecated | flagTentative
)

const (
	// testTime is how long duplicate address detection may take: up to a second before the
	// solicitation and a second after it (RFC 4862 section 5.4), and some more on a busy machine.
	testTime = 3 * time.Second
	// testPause is the time between two reads of the flags.
	testPause = 100 * time.Millisecond
)

// settled returns passingAddrs as soon as none of addrs is tentative, at the latest after
// testTime.
func settled(ctx context.Context, addrs []netip.Addr) (map[netip.Addr]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	for {
		passing, err := passingAddrs()
		underTest := func(ip netip.Addr) bool { return passing[ip]&(flagTentative|flagDADFailed) == flagTentative }
		if err != nil || !slices.ContainsFunc(addrs, underTest) {
			return passing, err
		}
		if !wait.For(ctx, testPause) {
			return passing, nil
		}
	}
}

// passingAddrs returns the flags of this host's IPv6 addresses that are not to be registered.
func passingAddrs() (map[netip.Addr]uint64, error) {
	// Not /proc/net, which shows the network namespace of the first thread of the process.
	f, err := os.Open("/proc/thread-self/net/if_inet6")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // a kernel without IPv6
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseInet6(f)
}

// parseInet6 reads lines such as
//
//	20010db8000000000000000000000002 04 40 00 21     eth0
//
// (address, interface index, prefix length, scope, flags, interface; all in
// hexadecimal) and returns the flags of the addresses that are not to be registered.
func parseInet6(r io.Reader) (map[netip.Addr]uint64, error) {
	passing := make(map[netip.Addr]uint64)
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		fields := strings.Fields(sc.Text())
		if len(fields) != 6 {
			return nil, fmt.Errorf("if_inet6: found %d fields in %q: expected 6", len(fields), sc.Text())
		}
		b, err := hex.DecodeString(fields[0])
		if err != nil {
			return nil, fmt.Errorf("if_inet6: address: %w", err)
		}
		ip, ok := netip.AddrFromSlice(b)
		if !ok {
			return nil, fmt.Errorf("if_inet6: found an address of %d bytes: expected 16", len(b))
		}
		flags, err := strconv.ParseUint(fields[4], 16, 32)
		if err != nil {
			return nil, fmt.Errorf("if_inet6: flags: %w", err)
		}
		if flags&flagsPassing != 0 {
			passing[ip] = flags
		}
	}
	return passing, sc.Err()
}
