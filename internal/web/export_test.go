package web

import "net"

// UseListener has Run serve l instead of listening by itself.
func (s *Server) UseListener(l net.Listener) { s.listeners = []net.Listener{l} }
