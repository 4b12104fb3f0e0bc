package porter

import (
	"errors"
	"log/slog"
	"net/netip"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// asides are the interfaces that only magic packets go out on: those that a machine's
// wake_interface names and the porter does not work on. Each is opened when it is
// needed first.
type wakeInterfaces struct {
	log     *slog.Logger
	open    map[string]*lan.Sender
	missing map[string]bool // it cannot be opened, and the log says so
}

func newWakeInterfaces(log *slog.Logger) wakeInterfaces {
	return wakeInterfaces{log: log, open: make(map[string]*lan.Sender), missing: make(map[string]bool)}
}

// errNoAside says that an interface cannot be used, which the log has said before.
var errNoWakeInterface = errors.New("wake_interface cannot be used")

// outlet returns an interface. Where it cannot be used the log says why, once.
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

// close closes all. What is needed again is opened anew, as the interface is then.
func (a *wakeInterfaces) close() {
	for name, s := range a.open {
		if err := s.Close(); err != nil {
			a.log.Debug("cannot close a socket", "event", "close_failed", "interface", name, "err", err)
		}
	}
	clear(a.open)
}

// outlet is where magic packets go out on the wire.
type outlet struct {
	mac      ether.MAC
	source   netip.Addr // of a datagram; invalid: there is none, and so no datagram
	transmit func(frame []byte) error
}

// sendAll sends one round of magic packets.
func (o outlet) sendAll(card ether.MAC, transports []string) error {
	for _, frame := range o.magicFrames(card, nil, transports) {
		if err := o.transmit(frame); err != nil {
			return err
		}
	}
	return nil
}

// magicFrames returns one round of magic packets: broadcast first, it needs no
// switch to remember the port, then unicast, which reaches a Wi-Fi host that
// missed a group key, then UDP for NICs and relays that know only that.
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
