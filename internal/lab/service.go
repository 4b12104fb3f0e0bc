package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"nightporter/internal/wait"
)

// A ServiceConfig is a service of a machine.
//
// A TCP service sends Banner and then what it receives. A UDP service answers
// each datagram with DatagramReply. With a Command it is a program, which is killed
// when the machine goes.
type ServiceConfig struct {
	Addr    netip.Addr // one of the machine's; zero: every one
	Network string     // "tcp" or "udp"
	Port    uint16
	Delay   time.Duration // from NetworkUp until it listens
	Command *Command      // a program instead, which opens the port itself
}

// A Command is a program that runs on a machine.
type Command struct {
	Args []string
	Env  []string // beside this process's own
}

// String returns the service as address:port/network.
func (s ServiceConfig) String() string {
	return netip.AddrPortFrom(s.Addr, s.Port).String() + "/" + s.Network
}

// AddrPort returns what to dial.
func (s ServiceConfig) AddrPort() netip.AddrPort { return netip.AddrPortFrom(s.Addr, s.Port) }

// Banner is what the TCP services of a machine say first.
func Banner(machine string) string { return machine + "\n" }

// DatagramReply is how the UDP services of a machine answer the nth datagram
// (from 1) that one service got since it came up.
func DatagramReply(machine string, n int, payload []byte) string {
	return fmt.Sprintf("%s %d %s", machine, n, payload)
}

// expand checks s and returns it for one address or for all of the machine's.
func (s ServiceConfig) expand(addrs []netip.Prefix) ([]ServiceConfig, error) {
	if s.Network != "tcp" && s.Network != "udp" {
		return nil, fmt.Errorf("network %q: want tcp or udp", s.Network)
	}
	if s.Port == 0 || s.Delay < 0 {
		return nil, fmt.Errorf("port %d, delay %s: want a port above 0 and no negative delay", s.Port, s.Delay)
	}
	var all []ServiceConfig
	for _, p := range addrs {
		if !s.Addr.IsValid() || s.Addr == p.Addr() {
			one := s
			one.Addr = p.Addr()
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("address %s: want one of %v", s.Addr, addrs)
	}
	return all, nil
}

// openLater opens a service when it is due.
func (m *Machine) openLater(s *session, service ServiceConfig, up time.Time) {
	if service.Delay > 0 && !wait.Until(s.ctx, up.Add(service.Delay)) {
		return
	}
	if err := m.openService(s, service); err != nil && s.ctx.Err() == nil {
		m.log.add(Event{Kind: Failed, Service: service, Detail: err.Error()})
	}
}

func (m *Machine) openService(s *session, service ServiceConfig) error {
	if service.Command != nil {
		return m.runService(s, service)
	}
	addr := service.AddrPort().String()
	if service.Network == "udp" {
		pc, err := m.ListenPacket(s.ctx, "udp", addr)
		if err != nil {
			return fmt.Errorf("service %s: %w", service, err)
		}
		m.log.add(Event{Kind: ServiceUp, Service: service, Detail: service.String()})
		s.listen(pc, func() { m.serveDatagrams(pc, service) })
		return nil
	}
	ln, err := m.Listen(s.ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("service %s: %w", service, err)
	}
	m.log.add(Event{Kind: ServiceUp, Service: service, Detail: service.String()})
	s.listen(ln, func() { m.serveConns(s, ln, service) })
	return nil
}

// runService runs a program as a service. ServiceUp says that it was started.
func (m *Machine) runService(s *session, service ServiceConfig) error {
	ctx, cancel := context.WithCancel(s.ctx)
	cmd := m.Command(ctx, service.Command.Args[0], service.Command.Args[1:]...)
	cmd.Env = append(os.Environ(), service.Command.Env...)
	if err := m.Start(cmd); err != nil {
		cancel()
		return fmt.Errorf("service %s: %w", service, err)
	}
	m.log.add(Event{Kind: ServiceUp, Service: service, Detail: service.String()})
	s.listen(killer(cancel), func() {
		defer cancel()
		_ = cmd.Wait() // some end by themselves, and the rest is killed
	})
	return nil
}

// killer ends a program.
type killer context.CancelFunc

func (k killer) Close() error {
	k()
	return nil
}

func (m *Machine) serveConns(s *session, ln net.Listener, service ServiceConfig) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return // the session has closed it
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			conn.Close()
			continue
		}
		m.log.add(Event{Kind: Accepted, Service: service, Remote: remote(tcp.RemoteAddr()), Detail: service.String()})
		s.accept(tcp, func() { m.echoConn(tcp) })
	}
}

// echoConn ends when the peer or the session ends the connection.
func (m *Machine) echoConn(conn *net.TCPConn) {
	if _, err := io.WriteString(conn, Banner(m.name)); err != nil {
		return
	}
	_, _ = io.Copy(conn, conn) // its error is the end of the connection
}

func (m *Machine) serveDatagrams(pc net.PacketConn, service ServiceConfig) {
	buf := make([]byte, 1<<16)
	for n := 1; ; n++ {
		size, from, err := pc.ReadFrom(buf)
		if err != nil {
			return // the session has closed it
		}
		m.log.add(Event{Kind: Datagram, Service: service, Remote: remote(from), Detail: string(buf[:size])})
		// A reply that cannot be sent is lost, as datagrams may be.
		_, _ = pc.WriteTo([]byte(DatagramReply(m.name, n, buf[:size])), from)
	}
}

// remote returns a peer's address in the form of package netip.
func remote(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
