package web

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits on connections.
const (
	maxConnections     = 128
	eachConnections    = 32          // for one source
	connectionPatience = time.Second // for a request to come, and to be answered
)

// admission is a listener that returns only connections that have a place.
type admission struct {
	net.Listener
	places *places
	peers  peers
	log    *slog.Logger
	first  func() // called before the first connection, if it is not nil
}

// Accept implements net.Listener.
func (a *admission) Accept() (net.Conn, error) {
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
		client := a.peers.at(at.AddrPort().Addr()) // of a nil TCPAddr, the zero one
		if held := a.places.take(client, waiting, func() { c.Close() }); held != nil {
			return &placed{Conn: c, place: held}, nil
		}
		a.log.Warn("connection closed, too many from one source", "event", "http_crowded", "source", client.source.String())
		c.Close()
	}
}

// placed is a connection that holds a place.
type placed struct {
	net.Conn
	place *place
}

// Close implements net.Conn.
func (c *placed) Close() error {
	c.place.leave()
	return c.Conn.Close()
}

// placeOn returns the place of a connection, or nil.
func placeOn(c net.Conn) *place {
	if encrypted, ok := c.(*tls.Conn); ok {
		c = encrypted.NetConn()
	}
	if p, ok := c.(*placed); ok {
		return p.place
	}
	return nil
}

// track is the http.Server.ConnState that keeps the places up to date.
func track(c net.Conn, state http.ConnState) {
	held := placeOn(c)
	if held == nil {
		return
	}
	switch state {
	case http.StateActive:
		held.now(busy)
	case http.StateIdle:
		held.now(waiting)
	}
}

// answering is next, after which the connection of a request waits for another one, or
// ends: a client that has its answer may ask on a new connection before the server has
// closed the old one. In HTTP/2 a connection may have other requests.
func answering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if held := placeOf(r); held != nil && r.ProtoMajor == 1 {
			defer held.now(waiting)
		}
		next.ServeHTTP(w, r)
	})
}

// placeKey is the key of a connection's *place in the context of its requests.
type placeKey struct{}

// withPlace is the http.Server.ConnContext that lets requests find their place.
func withPlace(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, placeKey{}, placeOn(c))
}

// placeOf returns the place of the connection of a request, or nil.
func placeOf(r *http.Request) *place {
	held, _ := r.Context().Value(placeKey{}).(*place)
	return held
}
