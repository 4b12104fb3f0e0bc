package lab

import (
	"context"
	"errors"
	"fmt"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

// SetCable pulls the host's cable out of the switch, or plugs it in again and
// waits until it carries frames. Without it the host has no carrier.
func (l *LAN) SetCable(h *Host, plugged bool) error {
	if h.port == "" {
		return fmt.Errorf("host %s: cable: it is not on the switch", h.name)
	}
	err := l.fabric.Netlink(func(c *rtnetlink.Conn) error {
		port, err := linkIndex(c, h.port)
		if err != nil {
			return err
		}
		var flags uint32
		if plugged {
			flags = unix.IFF_UP
		}
		return setLinkFlags(c, port, flags, unix.IFF_UP)
	})
	if err == nil && plugged {
		err = l.waitPort(h)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("host %s: cable", h.name), err)
	}
	return nil
}

// SetLink switches one of the host's interfaces off or on, as `ip link set down`
// does. On, it returns when the interface carries frames.
func (h *Host) SetLink(name string, up bool) error {
	ctx, cancel := context.WithTimeout(h.lan.ctx, setupTimeout)
	defer cancel()
	return h.alter("switch "+name, func(c *rtnetlink.Conn) error {
		index, err := linkIndex(c, name)
		if err != nil {
			return err
		}
		var flags uint32
		if up {
			flags = unix.IFF_UP
		}
		if err := setLinkFlags(c, index, flags, unix.IFF_UP); err != nil || !up {
			return err
		}
		return waitLinkUp(ctx, c, name)
	})
}

// SetMAC gives the host's interface another MAC.
func (h *Host) SetMAC(mac ether.MAC) error {
	return h.alter("set the MAC to "+mac.String(), func(c *rtnetlink.Conn) error {
		return c.Link.Set(&rtnetlink.LinkMessage{Index: h.index, Attributes: &rtnetlink.LinkAttributes{Address: mac.HardwareAddr()}})
	})
}

// SetMTU gives one of the host's interfaces another MTU, in bytes. Below 1280
// the kernel ends IPv6 on it.
func (h *Host) SetMTU(name string, mtu uint32) error {
	return h.alter(fmt.Sprintf("set the MTU of %s to %d", name, mtu), func(c *rtnetlink.Conn) error {
		index, err := linkIndex(c, name)
		if err != nil {
			return err
		}
		return c.Link.Set(&rtnetlink.LinkMessage{Index: index, Attributes: &rtnetlink.LinkAttributes{MTU: mtu}})
	})
}

// RemoveLink removes one of the host's interfaces, as when a USB adapter is
// pulled out.
func (h *Host) RemoveLink(name string) error {
	return h.alter("remove "+name, func(c *rtnetlink.Conn) error {
		index, err := linkIndex(c, name)
		if err != nil {
			return err
		}
		return c.Link.Delete(index)
	})
}

// RestoreLink makes the host's interface anew after RemoveLink, with the MAC,
// the addresses and the routes that the host was made with. Nothing else may be
// asked of the host meanwhile.
func (l *LAN) RestoreLink(h *Host) error {
	if h.port == "" {
		return fmt.Errorf("host %s: restore %s: it is not on the switch", h.name, Interface)
	}
	if err := l.plugIn(h); err != nil {
		return fmt.Errorf("host %s: restore %s: %w", h.name, Interface, err)
	}
	return nil
}

// alter runs fn with the host's routing netlink; what names it in the error.
func (h *Host) alter(what string, fn func(*rtnetlink.Conn) error) error {
	if err := h.ns.Netlink(fn); err != nil {
		return fmt.Errorf("host %s: %s: %w", h.name, what, err)
	}
	return nil
}

// OpenPort has the switch forward from and to the host's port, or lets nothing
// through while the link stays up: as a port with spanning tree does in the first
// 30 s after its link came up. Networks that the port carries with a tag are not
// affected.
func (l *LAN) OpenPort(h *Host, open bool) error {
	if h.port == "" {
		return fmt.Errorf("host %s: port: it is not on the switch", h.name)
	}
	var bridge uint32 // a port without a bridge receives and sends nothing
	if open {
		var err error
		if bridge, err = l.bridge(h.segment); err != nil {
			return err
		}
	}
	// The state that a bridge has for each port cannot be set: without spanning
	// tree the kernel puts it back at once.
	err := l.fabric.Netlink(func(c *rtnetlink.Conn) error {
		index, err := linkIndex(c, h.port)
		if err != nil {
			return err
		}
		err = c.Link.Set(&rtnetlink.LinkMessage{Index: index, Attributes: &rtnetlink.LinkAttributes{Master: &bridge}})
		if err != nil || !open {
			return err
		}
		ctx, cancel := context.WithTimeout(l.ctx, setupTimeout)
		defer cancel()
		return waitLinkUp(ctx, c, h.port)
	})
	if err != nil {
		return fmt.Errorf("host %s: port: %w", h.name, err)
	}
	return nil
}
