package web

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Limits on connections.
const (
	maxConnections    = 128
	eachConnections   = 32          // for one source
	connectionMinHold = time.Second // for a request to come, and to be answered
)

// limitedListener is a listener that returns only connections that have a slot.
type limitedListener struct {
	net.Listener
	slots *slots
	peers peers
	log   *slog.Logger
	first func() // called before the first connection, if it is not nil
}

// Accept implements net.Listener.
func (a *limitedListener) Accept() (net.Conn, error) {
	if a.first != nil {
		a.first()
		a.first = nil
	}
	for {
		c, err := a.Listener.Accept()
		if err != nil {
			return nil, err
		}
		at, _ := c.RemoteAddr().(*net.TCPAddr)
		client := a.peers.ofAddr(at.AddrPort().Addr()) // of a nil TCPAddr, the zero one
		if held := a.slots.take(client, waiting, func() { c.Close() }); held != nil {
			return &slotConn{Conn: c, slot: held}, nil
		}
		a.log.Warn("connection closed, too many from one source", "event", "http_crowded", "source", client.source.String())
		c.Close()
	}
}

// slotConn is a connection that holds a slot.
type slotConn struct {
	net.Conn
	slot *slot
}

// Close implements net.Conn.
func (c *slotConn) Close() error {
	c.slot.release()
	return c.Conn.Close()
}

// slotOfConn returns the slot of a connection, or nil.
func slotOfConn(c net.Conn) *slot {
	if encrypted, ok := c.(*tls.Conn); ok {
		c = encrypted.NetConn()
	}
	if p, ok := c.(*slotConn); ok {
		return p.slot
	}
	return nil
}

// track is the http.Server.ConnState that keeps the slots up to date.
func track(c net.Conn, state http.ConnState) {
	held := slotOfConn(c)
	if held == nil {
		return
	}
	switch state {
	case http.StateActive:
		held.setActivity(busy)
	case http.StateIdle:
		held.setActivity(waiting)
	}
}

// markWaiting is next, after which the connection of a request waits for another one, or
// ends: a client that has its answer may ask on a new connection before the server has
// closed the old one. In HTTP/2 a connection may have other requests.
func markWaiting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if held := slotOf(r); held != nil && r.ProtoMajor == 1 {
			defer held.setActivity(waiting)
		}
		next.ServeHTTP(w, r)
	})
}

// slotKey is the key of a connection's *slot in the context of its requests.
type slotKey struct{}

// withSlot is the http.Server.ConnContext that lets requests find their slot.
func withSlot(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, slotKey{}, slotOfConn(c))
}

// slotOf returns the slot of the connection of a request, or nil.
func slotOf(r *http.Request) *slot {
	held, _ := r.Context().Value(slotKey{}).(*slot)
	return held
}

// Limits on clients. A client that is slow or silent must not hold what the
// porter needs to answer for sleeping machines.
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 30 * time.Second
	stopTimeout    = time.Second // for requests under way when the porter stops
	maxHeaderBytes = 16 << 10
	maxRequests    = 16 // at once on one connection of HTTP/2
)

// ofRequest returns the client of a request. It ignores headers that name an earlier
// client: any client can write them.
func (p peers) ofRequest(r *http.Request) peer {
	if held := slotOf(r); held != nil {
		return held.peer // found out once for the connection
	}
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address is a source, too
	return p.ofAddr(at.Addr())
}
