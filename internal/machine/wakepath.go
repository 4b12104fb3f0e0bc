package machine

import "net/netip"

// WakePath is how one machine is woken, as far as that differs from others.
type WakePath struct {
	Interface  string         // where its magic packets go out; empty: where the machine is
	Transports []string       // in place of wake.transports; nil: those
	To         netip.AddrPort // where a magic datagram goes besides, by the kernel's routes
	Command    []string       // a program, and what it is given; empty: none
}
