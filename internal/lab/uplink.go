package lab

import (
	"context"
	"fmt"
	"net/netip"

	"nightporter/internal/ether"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// uplink is the port of a host's own bridge that leads to the switch.
const uplink = "uplink"

// MakeBridge has the host's interface be a bridge, with the cable to the switch in
// one of its ports: a host of virtual machines. MAC, addresses and routes are those
// that the host was made with. Nothing else may be asked of the host meanwhile.
func (l *LAN) MakeBridge(h *Host) error {
	err := h.RemoveLink(Interface)
	if err == nil {
		err = l.layUplink(h)
	}
	if err == nil {
		err = h.bringUp(gateways())
	}
	if err == nil {
		err = l.waitPort(h)
	}
	if err != nil {
		return fmt.Errorf("host %s: make a bridge: %w", h.name, err)
	}
	return nil
}

func (l *LAN) layUplink(h *Host) error {
	segment, err := l.bridge(h.segment)
	if err != nil {
		return err
	}
	err = l.fabric.Netlink(func(c *rtnetlink.Conn) error {
		return cable{near: h.port, master: segment, far: h.ns, farName: uplink, farMAC: h.mac}.lay(c)
	})
	if err != nil {
		return err
	}
	return h.ns.Netlink(func(c *rtnetlink.Conn) error {
		if err := writeSysctl("net/ipv6/conf/"+uplink+"/disable_ipv6", "1"); err != nil { // a port has no addresses
			return err
		}
		bridge, err := addBridge(c, Interface, h.mac)
		if err != nil {
			return err
		}
		port, err := linkIndex(c, uplink)
		if err != nil {
			return err
		}
		err = c.Link.Set(&rtnetlink.LinkMessage{Index: port, Flags: unix.IFF_UP, Change: unix.IFF_UP,
			Attributes: &rtnetlink.LinkAttributes{Master: &bridge}})
		if err != nil {
			return fmt.Errorf("put %s on %s: %w", uplink, Interface, err)
		}
		ctx, cancel := context.WithTimeout(l.ctx, setupTimeout)
		defer cancel()
		return waitLinkUp(ctx, c, uplink)
	})
}

// AddBridged puts a host on another one's bridge: a virtual machine of it.
func (l *LAN) AddBridged(of *Host, name string, addrs ...netip.Prefix) (*Host, error) {
	h, err := l.register(name, ether.MAC{}, addrs)
	if err != nil {
		return nil, err
	}
	defer l.work.Done()
	near := h.port
	h.port = "" // it is not on the switch
	if err = h.prepare(); err == nil {
		err = of.ns.Netlink(func(c *rtnetlink.Conn) error {
			if err := (cable{near: near, master: of.index, far: h.ns, farName: Interface, farMAC: h.mac}).lay(c); err != nil {
				return err
			}
			return writeSysctl("net/ipv6/conf/"+near+"/disable_ipv6", "1") // a port has no addresses
		})
	}
	if err == nil {
		err = h.bringUp(gateways())
	}
	if err != nil {
		l.unregister(h)
		return nil, fmt.Errorf("host %s: a bridged host on %s: %w", name, of.name, err)
	}
	l.publish(h)
	return h, nil
}

// AddRoute has the host reach a network by a router; a network of 0 bits is all
// that no other route is for.
func (h *Host) AddRoute(to netip.Prefix, router netip.Addr) error {
	return h.alter("add a route to "+to.String(), func(c *rtnetlink.Conn) error { return addRoute(c, h.index, to, router) })
}
