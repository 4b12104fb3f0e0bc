package porter

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// waker is the part of the loop that wakes machines.
type waker struct{ *loop }

func (l *loop) waker() waker { return waker{l} }

// sendMagic sends one round of magic packets, and measures the time from the knock to the
// first of them.
func (l waker) sendMagic(e *entry) (failed error) {
	card, password, path := e.card(), e.Spec().Password, e.wakePath()
	transports := l.conf.Wake.Transports
	if path.Transports != nil {
		transports = path.Transports
	}
	outlets, failed := l.outlets(e, path)
	for _, o := range outlets {
		for _, frame := range o.magicFrames(card, password, transports) {
			if err := o.transmit(frame); err != nil {
				failed = err
			}
			l.measureLatency(e)
		}
	}
	if path.To.IsValid() {
		if err := lan.SendDatagram(path.To, lan.MagicPacket(card, password)); err != nil {
			failed = err
		}
		l.measureLatency(e)
	}
	return failed
}

// wakeMAC sends one round of magic packets for a MAC that no machine has, on each
// interface that works.
func (l waker) wakeMAC(mac ether.MAC, by string) error {
	var failed error
	var sent []string
	for _, n := range l.nics {
		err := n.unavailable()
		if err == nil {
			err = n.outlet().sendAll(mac, l.conf.Wake.Transports)
		}
		if err != nil {
			failed = err
			continue
		}
		sent = append(sent, n.name)
	}
	if len(sent) == 0 {
		return fmt.Errorf("no magic packet could be sent: %w", failed)
	}
	on := strings.Join(sent, ", ")
	l.log.Info("magic packet sent to a MAC", "event", "wake_requested", "mac", mac, "by", by, "interfaces", on)
	l.journal.Append(journal.Record{Event: journal.Event{
		Kind: journal.Asked, At: time.Now(), MAC: mac, Trigger: machine.ByAPI.String(), By: by, Reason: "magic packet on " + on}})
	return nil
}

// measureLatency reports the time since the knock that began the present wake. Only the
// first call of a wake does.
func (l waker) measureLatency(e *entry) {
	if e.knockedAt.IsZero() {
		return
	}
	if d := time.Since(e.knockedAt); d < time.Minute { // else the wall clock was set meanwhile
		l.metrics.WakeLatency(d)
	}
	e.knockedAt = time.Time{}
}

// outlets returns the interfaces for a machine's magic packets: the configured
// wake_interface, else the machine's own.
func (l waker) outlets(e *entry, path machine.WakePath) ([]outlet, error) {
	name := path.Interface
	if path.Transports != nil && len(path.Transports) == 0 {
		return nil, nil // no transport is configured
	}
	if name == "" {
		nics := l.interfaces.nicsOf(e)
		all := make([]outlet, len(nics))
		for i, n := range nics {
			all[i] = n.outlet()
		}
		return all, nil
	}
	for _, n := range l.nics {
		if n.name == name {
			return []outlet{n.outlet()}, nil
		}
	}
	o, err := l.asides.outlet(e, name)
	if err != nil {
		return nil, err
	}
	return []outlet{o}, nil
}

func (n *nic) outlet() outlet {
	source, _ := n.magicSource()
	return outlet{mac: n.MAC(), source: source, transmit: n.transmit}
}

// magicSource returns the source address of magic datagrams. IPv4 comes first: more NICs
// recognize it.
func (n *nic) magicSource() (netip.Addr, bool) {
	own := n.ownAddresses()
	for _, ip := range own {
		if ip.Is4() {
			return ip, true
		}
	}
	if len(own) == 0 {
		return netip.Addr{}, false
	}
	return own[0], true
}
