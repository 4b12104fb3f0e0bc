package web

import (
	"net/http"
	"net/netip"

	"nightporter/internal/ratelimit"
)

// peer is the client of a connection, as shares and rations count it.
type peer struct {
	source   ratelimit.Source
	loopback bool
}

// peers tells whose share a client uses. It is the one place that knows what
// counts as one host.
type peers struct {
	sourceOf func(netip.Addr) ratelimit.Source
}

func (p peers) at(addr netip.Addr) peer {
	addr = addr.Unmap()
	return peer{source: p.sourceOf(addr), loopback: addr.IsLoopback()}
}

// of returns the client of a request. What a header says of an earlier one is not
// asked: any client can write it.
func (p peers) of(r *http.Request) peer {
	if held := placeOf(r); held != nil {
		return held.peer // found out once for the connection
	}
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address is a source, too
	return p.at(at.Addr())
}
