package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"nightporter/internal/ether"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// AddTap puts a host on the LAN whose interface is not here: its cable ends in a
// file, one frame a read or write, for a program that plays a network card. The
// host's own namespace is empty; Start runs the program there. The caller closes
// the file.
func (l *LAN) AddTap(name string, addrs ...netip.Prefix) (*Host, *os.File, error) {
	h, err := l.register(name, ether.MAC{}, addrs)
	if err != nil {
		return nil, nil, err
	}
	defer l.work.Done()
	file, err := l.openTap(h)
	if err != nil {
		l.unregister(h)
		return nil, nil, fmt.Errorf("host %s: tap: %w", name, err)
	}
	l.publish(h)
	return h, file, nil
}

func (l *LAN) openTap(h *Host) (*os.File, error) {
	if err := h.prepare(); err != nil {
		return nil, err
	}
	bridge, err := l.bridge(h.segment)
	if err != nil {
		return nil, err
	}
	var file *os.File
	err = l.fabric.Netlink(func(c *rtnetlink.Conn) (err error) {
		if file, err = newTap(h.port); err != nil {
			return err
		}
		port, err := linkIndex(c, h.port)
		if err != nil {
			return err
		}
		return c.Link.Set(&rtnetlink.LinkMessage{Index: port, Attributes: &rtnetlink.LinkAttributes{Master: &bridge}})
	})
	if err == nil {
		err = l.SetCable(h, true)
	}
	if err != nil && file != nil {
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return nil, err
	}
	return file, nil
}

// newTap makes a tap interface in the namespace of the calling thread. It goes
// with the last copy of the file, and has a carrier until then.
func newTap(name string) (*os.File, error) {
	const device = "/dev/net/tun"
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", device, err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	// A tap has a carrier from the start, and no operational state until the carrier
	// changes.
	for _, carrier := range []int{0, 1} {
		if err == nil {
			err = unix.IoctlSetPointerInt(fd, unix.TUNSETCARRIER, carrier)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make %s: %w", name, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), device), nil
}
