package lab

import (
	"context"
	"errors"
	"fmt"
	"net"

	"nightporter/internal/ether"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// WatchMagic calls heard for each magic packet for mac that the switch passes on,
// one at a time, until ctx or the LAN ends. It reads at the switch, not at a port:
// it hears also for a machine that has no power and whose port is down.
func (l *LAN) WatchMagic(ctx context.Context, mac ether.MAC, heard func(Transport)) error {
	conn, err := l.listenSwitch()
	if err != nil {
		return fmt.Errorf("watch the switch for %s: %w", mac, err)
	}
	ok := l.start(func() {
		defer conn.Close()
		for _, end := range []context.Context{ctx, l.ctx} {
			stop := context.AfterFunc(end, func() { conn.Close() })
			defer stop()
		}
		buf := make([]byte, frameBuffer)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return // closed: the bridge stays as long as the LAN
			}
			if transport, ok := parseMagic(Frame{Data: buf[:n]}, mac, nil); ok {
				heard(transport)
			}
		}
	})
	if !ok {
		return errors.Join(fmt.Errorf("watch the switch for %s: %w", mac, errClosed), conn.Close())
	}
	return nil
}

// listenSwitch opens a packet socket on the LAN's bridge. A bridge in promiscuous mode
// takes a copy of all that it forwards.
func (l *LAN) listenSwitch() (conn *packet.Conn, err error) {
	filter, err := nicFilter(false)
	if err != nil {
		return nil, err
	}
	err = l.fabric.Do(func() error {
		bridge, err := net.InterfaceByName(bridgeName(0))
		if err != nil {
			return err
		}
		conn, err = packet.Listen(bridge, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: filter})
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := conn.SetPromiscuous(true); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
