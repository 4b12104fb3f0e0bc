package porter

import (
	"errors"
	"log/slog"
	"net/netip"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// wakeInterfaces are the interfaces that a machine's wake_interface names and that are not
// in the porter's own list. Only magic packets go out on them. Each is opened at its
// first use.
type wakeInterfaces struct {
	log     *slog.Logger
	open    map[string]*lan.Sender
	missing map[string]bool // it cannot be opened, and that is logged
}

func newWakeInterfaces(log *slog.Logger) wakeInterfaces {
	return wakeInterfaces{log: log, open: make(map[string]*lan.Sender), missing: make(map[string]bool)}
}

// errNoWakeInterface means that an interface cannot be used. The cause is in the log.
var errNoWakeInterface = errors.New("wake_interface cannot be used")

// outlet returns an interface, opened if necessary. The cause of a failure is logged once.
func (a *wakeInterfaces) outlet(e *entry, name string) (outlet, error) {
	s := a.open[name]
	if s == nil {
		var err error
		if s, err = lan.OpenSender(name); err != nil {
			if !a.missing[name] {
				a.log.Warn("magic packets cannot go out on wake_interface", "event", "wake_interface_failed", "machine", e, "interface", name, "err", err)
			}
			a.missing[name] = true
			return outlet{}, errNoWakeInterface
		}
		a.open[name] = s
		delete(a.missing, name)
	}
	return outlet{mac: s.MAC(), source: s.Source(), transmit: s.Send}, nil
}

// close closes all of them. The next outlet opens the interface as it is then.
func (a *wakeInterfaces) close() {
	for name, s := range a.open {
		if err := s.Close(); err != nil {
			a.log.Debug("cannot close a socket", "event", "close_failed", "interface", name, "err", err)
		}
	}
	clear(a.open)
}

// outlet is an interface on which magic packets are sent.
type outlet struct {
	mac      ether.MAC
	source   netip.Addr // of a UDP datagram; invalid: no datagram is sent
	transmit func(frame []byte) error
}

// sendAll sends one round of magic packets without a SecureOn password.
func (o outlet) sendAll(card ether.MAC, transports []string) error {
	for _, frame := range o.magicFrames(card, nil, transports) {
		if err := o.transmit(frame); err != nil {
			return err
		}
	}
	return nil
}

// magicFrames returns one round of magic packets. Broadcast comes first, because it needs
// no switch that remembers the port. Unicast reaches a Wi-Fi host that missed a group key.
// UDP is for NICs and relays that accept nothing else.
func (o outlet) magicFrames(card ether.MAC, password []byte, transports []string) [][]byte {
	var frames [][]byte
	for _, transport := range transports {
		switch transport {
		case config.TransportEthernet:
			frames = append(frames,
				lan.MagicFrame(o.mac, ether.Broadcast, card, password),
				lan.MagicFrame(o.mac, card, card, password))
		case config.TransportUDP:
			if o.source.IsValid() {
				frames = append(frames, lan.MagicUDPFrame(o.mac, o.source, card, password))
			}
		}
	}
	return frames
}
