package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"nightporter/internal/ether"
	"nightporter/internal/netns"

	"github.com/jsimonetti/rtnetlink/v2"
)

// Names of the hosts that every LAN has.
const (
	RouterName  = "router"
	OutsideName = "outside"
	PorterName  = "porter"
	ClientName  = "client"
)

// Interface is the name of a host's interface on the LAN.
const Interface = "eth0"

// errClosed is the reason why something on a closed LAN ended.
var errClosed = errors.New("the LAN is closed")

// A LAN is a switch with hosts and machines on it. Its methods may be called
// from several goroutines.
type LAN struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	fabric *netns.Namespace // the switch lives here

	work sync.WaitGroup // every goroutine of the LAN

	mu       sync.Mutex // guards what follows
	closed   bool
	hosts    map[string]*Host
	macs     map[ether.MAC]string
	ports    int
	segments map[uint16]uint32 // the bridge of each; 0 is the LAN
}

// New builds a LAN with router, outside, porter and client on it. The LAN
// stands still when ctx ends, and must be closed.
func New(ctx context.Context) (*LAN, error) {
	l := &LAN{hosts: make(map[string]*Host), macs: make(map[ether.MAC]string), segments: make(map[uint16]uint32)}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	if err := l.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("build LAN: %w", err), l.Close())
	}
	return l, nil
}

func (l *LAN) build() error {
	var err error
	if l.fabric, err = netns.New(); err != nil {
		return err
	}
	err = l.fabric.Netlink(func(*rtnetlink.Conn) error {
		if err := writeSysctls(switchSettings()); err != nil {
			return err
		}
		return unfilter()
	})
	if err == nil {
		_, err = l.bridge(0)
	}
	if err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	router, err := l.AddHost(RouterName, prefixes("10.77.0.1/24", "fd77::1/64")...)
	if err != nil {
		return err
	}
	if err := l.addOutside(router); err != nil {
		return err
	}
	if _, err = l.AddHost(PorterName, prefixes("10.77.0.2/24", "fd77::2/64")...); err != nil {
		return err
	}
	_, err = l.AddHost(ClientName, prefixes("10.77.0.10/24", "fd77::10/64")...)
	return err
}

func prefixes(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range texts {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

// gateways returns the router's addresses on the LAN.
func gateways() []netip.Addr {
	return []netip.Addr{netip.AddrFrom4([4]byte{10, 77, 0, 1}), netip.MustParseAddr("fd77::1")}
}

// AddHost puts a host with the given addresses on the LAN, with default routes
// via the router, and returns when its addresses are usable.
func (l *LAN) AddHost(name string, addrs ...netip.Prefix) (*Host, error) {
	return l.addHost(name, ether.MAC{}, addrs, 0)
}

// addHost derives the MAC from the first address where mac is zero.
func (l *LAN) addHost(name string, mac ether.MAC, addrs []netip.Prefix, segment uint16) (*Host, error) {
	h, err := l.register(name, mac, addrs)
	if err != nil {
		return nil, err
	}
	defer l.work.Done()
	h.segment = segment
	if err := l.attach(h); err != nil {
		l.unregister(h)
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	l.publish(h)
	return h, nil
}

// register reserves name, MAC and switch port for a host still to be built.
// The building counts as work of the LAN: the caller ends it with work.Done.
func (l *LAN) register(name string, mac ether.MAC, addrs []netip.Prefix) (*Host, error) {
	if name == "" || len(addrs) == 0 {
		return nil, fmt.Errorf("host %q: want a name and at least one address, have %v", name, addrs)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fmt.Errorf("host %s: %w", name, errClosed)
	}
	if l.hosts[name] != nil {
		return nil, fmt.Errorf("host %s: the name is taken", name)
	}
	if mac == (ether.MAC{}) {
		mac = l.freeMAC(addrs[0].Addr())
	}
	if owner, taken := l.macs[mac]; taken || !mac.Unicast() {
		return nil, fmt.Errorf("host %s: MAC %s: want a free unicast address (taken by %q)", name, mac, owner)
	}
	l.ports++
	h := &Host{name: name, mac: mac, addrs: slices.Clone(addrs), lan: l, port: fmt.Sprintf("port%d", l.ports)}
	l.hosts[name], l.macs[mac] = h, name
	l.work.Add(1)
	return h, nil
}

// freeMAC derives a locally administered address that shows the end of the
// IP address: 10.77.0.10 becomes 02:77:00:00:00:0a. The caller holds l.mu.
func (l *LAN) freeMAC(ip netip.Addr) ether.MAC {
	b := ip.AsSlice()
	mac := ether.MAC{0x02, 0x77, 0, 0, b[len(b)-2], b[len(b)-1]}
	for l.macs[mac] != "" && mac[2] < 0xff {
		mac[2]++
	}
	return mac
}

func (l *LAN) unregister(h *Host) {
	l.mu.Lock()
	delete(l.hosts, h.name)
	delete(l.macs, h.mac)
	l.mu.Unlock()
	if h.ns != nil {
		h.ns.Close() // nothing was written through it
	}
}

// publish makes a host that is built visible.
func (l *LAN) publish(h *Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.built = true
}

// Host returns the host or machine of that name, or nil.
func (l *LAN) Host(name string) *Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.hosts[name]; h != nil && h.built {
		return h
	}
	return nil
}

// Router returns the router, 10.77.0.1 and fd77::1.
func (l *LAN) Router() *Host { return l.Host(RouterName) }

// Outside returns the host behind the router, 10.78.0.2 and fd78::2.
func (l *LAN) Outside() *Host { return l.Host(OutsideName) }

// Porter returns the host meant for the daemon, 10.77.0.2 and fd77::2.
func (l *LAN) Porter() *Host { return l.Host(PorterName) }

// Client returns the first client, 10.77.0.10 and fd77::10.
func (l *LAN) Client() *Host { return l.Host(ClientName) }

// start runs fn in a goroutine that Close waits for. It returns false, and
// runs nothing, on a closed LAN.
func (l *LAN) start(fn func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.work.Go(fn)
	return true
}

// Close ends every machine, capture and proxy and the processes that were
// started in hosts, and lets go of the namespaces. What callers still hold
// open, such as a connection dialled from a host, keeps that host's namespace
// until it is closed. Close may be called again.
func (l *LAN) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	hosts := l.hosts
	l.mu.Unlock()

	l.cancel(errClosed)
	l.work.Wait()
	var errs []error
	for _, h := range hosts {
		if h.ns != nil {
			errs = append(errs, h.ns.Close())
		}
	}
	if l.fabric != nil {
		errs = append(errs, l.fabric.Close())
	}
	return errors.Join(errs...)
}
