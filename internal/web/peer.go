package web

import (
	"net/netip"

	"nightporter/internal/ratelimit"
)

// peer is the client of a connection, as shares and rations count it.
type peer struct {
	source   ratelimit.Source
	loopback bool
}

// peers tells whose share a client uses. It is the one slot that knows what
// counts as one host.
type peers struct {
	sourceOf func(netip.Addr) ratelimit.Source
}

func (p peers) ofAddr(addr netip.Addr) peer {
	addr = addr.Unmap()
	return peer{source: p.sourceOf(addr), loopback: addr.IsLoopback()}
}
