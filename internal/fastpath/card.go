package fastpath

import (
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// speaks reports whether a MAC is the machine's: the one it speaks with, or the one
// that was built into its card, with which its boot firmware speaks.
func (t *Target) speaks(mac machine.MAC) bool { return mac == t.MAC || mac == t.card }

// heardCard takes a frame from the address that was built into a machine's card. Only
// what speaks for an address of the machine means something, and proves nothing: the
// card may be that of a host which is up, such as a hypervisor.
func (r *Reader) heardCard(v *View, t *Target, p *lan.Packet) {
	kind, ip := spokenFor(p)
	a := v.addrs[ip]
	if a == nil || a.target != t {
		return
	}
	a.answer.Store(false) // as for the machine itself, see heard
	if kind != SawTest {
		kind = SawUse
	}
	r.report(&a.spoken[kind], Sighting{Kind: kind, Target: t, Address: a})
}
