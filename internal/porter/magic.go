package porter

import (
	"net/netip"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// sendMagic sends one round of magic packets, and measures how long the knock
// waited for the first of them.
func (l *loop) sendMagic(e *entry) (failed error) {
	for _, n := range l.interfaces.of(e) {
		for _, frame := range n.magicFrames(e.Spec(), l.conf.Wake.Transports) {
			if err := n.transmit(frame); err != nil {
				failed = err
			}
			if !e.knockedAt.IsZero() {
				if d := time.Since(e.knockedAt); d < time.Minute { // else the clock of the kernel's times was set
					l.metrics.WakeLatency(d)
				}
				e.knockedAt = time.Time{}
			}
		}
	}
	return failed
}

// magicFrames returns one round of magic packets: broadcast first, it needs no
// switch to remember the port, then unicast, which reaches a Wi-Fi host that
// missed a group key, then UDP for NICs and relays that know only that.
func (n *nic) magicFrames(spec machine.Spec, transports []string) [][]byte {
	var frames [][]byte
	for _, transport := range transports {
		switch transport {
		case config.TransportEthernet:
			frames = append(frames,
				lan.MagicFrame(n.MAC(), machine.Broadcast, spec.MAC, spec.Password),
				lan.MagicFrame(n.MAC(), spec.MAC, spec.MAC, spec.Password))
		case config.TransportUDP:
			if from, ok := n.magicSource(); ok {
				frames = append(frames, lan.MagicUDPFrame(n.MAC(), from, spec.MAC, spec.Password))
			}
		}
	}
	return frames
}

// magicSource returns the address magic datagrams come from, IPv4 if there is
// one: NICs that look into UDP know it best.
func (n *nic) magicSource() (netip.Addr, bool) {
	own := n.own()
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
