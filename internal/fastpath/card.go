package fastpath

import (
	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// speaks reports whether a MAC is that of the address's owner: the one it speaks with,
// or for the machine itself the one that was built into its card, with which its boot
// firmware speaks.
func (a *Address) hasMAC(mac ether.MAC) bool {
	return mac == a.mac || a.mac == a.target.MAC && mac == a.target.cardMAC
}

// isCard reports whether a MAC is only that of the machine's card.
func (t *Target) isCardOnly(mac ether.MAC) bool { return mac == t.cardMAC && mac != t.MAC }

// heardCard takes a frame from the address that was built into a machine's card. Only
// what speaks for an address of the machine means something, and proves nothing: the
// card may be that of a host which is up, such as a hypervisor.
func (r *Reader) handleCardFrame(v *View, t *Target, p *lan.Packet) {
	kind, ip := senderAddress(p)
	a := v.addrs[ip]
	if a == nil || a.target != t || a.mac != t.MAC {
		return
	}
	a.answering.Store(false) // as for the machine itself, see heard
	if kind != SawTest {
		kind = SawUse
	}
	r.report(&a.reported[kind], Sighting{Kind: kind, Target: t, Address: a})
}
