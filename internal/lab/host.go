package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"nightporter/internal/ether"
	"nightporter/internal/netns"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/packet"
)

// A Host is one network namespace with an interface on the LAN. Its methods
// may be called from several goroutines.
type Host struct {
	name    string
	mac     ether.MAC
	lan     *LAN
	ns      *netns.Namespace
	port    string // its interface at the switch; empty: not on the switch
	segment uint16 // of that port; 0: the LAN
	index   uint32 // of Interface
	built   bool   // guarded by lan.mu

	mu      sync.Mutex // guards what follows
	spawner *spawner
	addrs   []netip.Prefix // replaced as a whole
}

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

// MAC returns the address that the host's interface on the LAN was made with.
func (h *Host) MAC() ether.MAC { return h.mac }

// Addr4 returns the first IPv4 address the host was made with (or was given by
// Machine.Readdress), or the zero Addr.
func (h *Host) Addr4() netip.Addr { return h.firstAddr(netip.Addr.Is4) }

// Addr6 is Addr4 for IPv6.
func (h *Host) Addr6() netip.Addr { return h.firstAddr(netip.Addr.Is6) }

func (h *Host) firstAddr(wanted func(netip.Addr) bool) netip.Addr {
	addrs := h.addresses()
	i := slices.IndexFunc(addrs, func(p netip.Prefix) bool { return wanted(p.Addr()) })
	if i < 0 {
		return netip.Addr{}
	}
	return addrs[i].Addr()
}

// addresses returns what the host is configured with when it is awake.
func (h *Host) addresses() []netip.Prefix {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addrs
}

// Do runs fn on a thread inside the host's network namespace and returns its
// error. Sockets that fn makes stay in the host. Goroutines that fn starts do
// not run there, so fn must not resolve names; Dial and Listen of this package
// are safe.
func (h *Host) Do(fn func() error) error {
	if err := h.ns.Do(fn); err != nil {
		return fmt.Errorf("host %s: %w", h.name, err)
	}
	return nil
}

// Sysctl sets a kernel parameter of the host, such as "net/ipv4/ip_forward".
func (h *Host) Sysctl(name, value string) error {
	return h.Do(func() error { return writeSysctl(name, value) })
}

// ReadSysctl returns a kernel parameter of the host.
func (h *Host) ReadSysctl(name string) (value string, err error) {
	err = h.Do(func() error {
		value, err = readSysctl(name)
		return err
	})
	return value, err
}

// AddrsNow returns the addresses that the host's interface has at this moment,
// those still tentative included.
func (h *Host) AddrsNow() ([]netip.Prefix, error) {
	var addrs []ifAddr
	err := h.ns.Netlink(func(c *rtnetlink.Conn) (err error) {
		addrs, err = listAddrs(c, h.index)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.name, err)
	}
	var ps []netip.Prefix
	for _, a := range addrs {
		ps = append(ps, a.prefix)
	}
	return ps, nil
}

// AddAddr adds an address, without duplicate address detection, and returns
// when it is usable.
func (h *Host) AddAddr(ctx context.Context, p netip.Prefix) error {
	err := h.ns.Netlink(func(c *rtnetlink.Conn) error {
		return configure(ctx, c, h.index, []netip.Prefix{p}, nil)
	})
	if err != nil {
		return fmt.Errorf("host %s: %w", h.name, err)
	}
	return nil
}

// DelAddr removes an address.
func (h *Host) DelAddr(p netip.Prefix) error {
	err := h.ns.Netlink(func(c *rtnetlink.Conn) error { return delAddr(c, h.index, p) })
	if err != nil {
		return fmt.Errorf("host %s: %w", h.name, err)
	}
	return nil
}

// SendFrame sends one Ethernet frame, as it is, from the host's interface.
func (h *Host) SendFrame(frame []byte) error {
	// Protocol 0: the socket is for sending only.
	conn, err := h.packetConn(0, nil)
	if err != nil {
		return err
	}
	return errors.Join(h.writeFrame(conn, frame), conn.Close())
}

// packetConn opens a packet socket on the host's interface.
func (h *Host) packetConn(protocol int, cfg *packet.Config) (conn *packet.Conn, err error) {
	err = h.ns.Do(func() error {
		ifi, err := net.InterfaceByName(Interface)
		if err != nil {
			return fmt.Errorf("interface %s: %w", Interface, err)
		}
		conn, err = packet.Listen(ifi, packet.Raw, protocol, cfg)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: open packet socket: %w", h.name, err)
	}
	return conn, nil
}

func (h *Host) writeFrame(conn *packet.Conn, frame []byte) error {
	if len(frame) < ethernetHeader {
		return fmt.Errorf("host %s: send frame: %d bytes, want at least %d", h.name, len(frame), ethernetHeader)
	}
	dst := &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])}
	if _, err := conn.WriteTo(frame, dst); err != nil {
		return fmt.Errorf("host %s: send frame: %w", h.name, err)
	}
	return nil
}
