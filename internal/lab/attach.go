package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/netns"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

const (
	// setupTimeout bounds how long a link or an address may take to be usable.
	setupTimeout = 10 * time.Second
	// outsideLeg is the router's interface towards the outside.
	outsideLeg = "eth1"
)

// attach builds a host's namespace and plugs it into the switch.
func (l *LAN) attach(h *Host) error {
	if err := h.prepare(); err != nil {
		return err
	}
	return l.plugIn(h)
}

// plugIn connects a host that has its namespace to the switch.
func (l *LAN) plugIn(h *Host) error {
	bridge, err := l.bridge(h.segment)
	if err != nil {
		return err
	}
	err = l.fabric.Netlink(func(c *rtnetlink.Conn) error {
		return cable{near: h.port, master: bridge, far: h.ns, farName: Interface, farMAC: h.mac}.lay(c)
	})
	if err != nil {
		return err
	}
	if err := h.bringUp(gateways()); err != nil {
		return err
	}
	return l.waitPort(h)
}

// waitPort waits until the switch forwards to the host's port.
func (l *LAN) waitPort(h *Host) error {
	if h.port == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(l.ctx, setupTimeout)
	defer cancel()
	return l.fabric.Netlink(func(c *rtnetlink.Conn) error { return waitLinkUp(ctx, c, h.port) })
}

// prepare makes the namespace; the settings must be there before an interface.
func (h *Host) prepare() error {
	ns, err := netns.New()
	if err != nil {
		return err
	}
	h.ns = ns
	return h.ns.Netlink(func(c *rtnetlink.Conn) error {
		if err := writeSysctls(hostSettings()); err != nil {
			return err
		}
		if !h.Addr6().IsValid() {
			if err := writeSysctl("net/ipv6/conf/default/disable_ipv6", "1"); err != nil {
				return err
			}
		}
		return setLinkFlags(c, loopbackIndex, unix.IFF_UP, unix.IFF_UP)
	})
}

// bringUp configures the host's interface and waits until it is usable.
func (h *Host) bringUp(via []netip.Addr) error {
	ctx, cancel := context.WithTimeout(h.lan.ctx, setupTimeout)
	defer cancel()
	return h.ns.Netlink(func(c *rtnetlink.Conn) error {
		index, err := linkIndex(c, Interface)
		if err != nil {
			return err
		}
		h.index = index
		if err := setLinkFlags(c, index, unix.IFF_UP, unix.IFF_UP); err != nil {
			return err
		}
		if err := waitLinkUp(ctx, c, Interface); err != nil {
			return err
		}
		return configure(ctx, c, index, h.addresses(), via)
	})
}

// configure adds addresses without duplicate address detection, and routes.
func configure(ctx context.Context, c *rtnetlink.Conn, index uint32, addrs []netip.Prefix, via []netip.Addr) error {
	for _, p := range addrs {
		if err := addAddr(c, index, p, nodad(p)); err != nil {
			return err
		}
	}
	if err := addDefaultRoutes(c, index, addrs, via); err != nil {
		return err
	}
	failed, err := waitAddrs(ctx, c, index, addrs)
	if err == nil && len(failed) > 0 {
		return fmt.Errorf("addresses %v: other hosts use them", failed)
	}
	return err
}

// nodad returns the address flag that skips duplicate address detection, an
// affair of IPv6 only.
func nodad(p netip.Prefix) uint32 {
	if p.Addr().Is4() {
		return 0
	}
	return unix.IFA_F_NODAD
}

// addDefaultRoutes adds a route via each gateway that is on the link and is
// not the host itself.
func addDefaultRoutes(c *rtnetlink.Conn, index uint32, addrs []netip.Prefix, via []netip.Addr) error {
	for _, gw := range via {
		onLink := slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Contains(gw) })
		self := slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Addr() == gw })
		if !onLink || self {
			continue
		}
		if err := addDefaultRoute(c, index, gw); err != nil {
			return err
		}
	}
	return nil
}

// addOutside makes the router a router: forwarding on, and a second leg to a
// host that is not on the LAN.
func (l *LAN) addOutside(router *Host) error {
	h, err := l.register(OutsideName, ether.MAC{0x02, 0x78, 0, 0, 0, 2}, prefixes("10.78.0.2/24", "fd78::2/64"))
	if err != nil {
		return err
	}
	defer l.work.Done()
	h.port = ""
	if err := l.connectOutside(router, h); err != nil {
		l.unregister(h)
		return fmt.Errorf("host %s: %w", OutsideName, err)
	}
	l.publish(h)
	return nil
}

func (l *LAN) connectOutside(router, h *Host) error {
	if err := h.prepare(); err != nil {
		return err
	}
	legs := prefixes("10.78.0.1/24", "fd78::1/64")
	err := router.ns.Netlink(func(c *rtnetlink.Conn) error {
		forward := []setting{{"net/ipv4/ip_forward", "1"}, {"net/ipv6/conf/all/forwarding", "1"}}
		if err := writeSysctls(forward); err != nil {
			return err
		}
		mac := ether.MAC{0x02, 0x78, 0, 0, 0, 1}
		return cable{near: outsideLeg, nearMAC: mac, far: h.ns, farName: Interface, farMAC: h.mac}.lay(c)
	})
	if err != nil {
		return err
	}
	if err := h.bringUp([]netip.Addr{legs[0].Addr(), legs[1].Addr()}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(l.ctx, setupTimeout)
	defer cancel()
	return router.ns.Netlink(func(c *rtnetlink.Conn) error {
		index, err := linkIndex(c, outsideLeg)
		if err != nil {
			return err
		}
		if err := waitLinkUp(ctx, c, outsideLeg); err != nil {
			return err
		}
		return configure(ctx, c, index, legs, nil)
	})
}
