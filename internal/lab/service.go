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

// runningService is a service of a machine while a session of the machine lasts.
type runningService struct {
	machine *Machine
	session *session
	config  ServiceConfig
}

// openAfter opens the service when its delay after the start of the network is over.
func (r runningService) openAfter(networkUp time.Time) {
	if r.config.Delay > 0 && !wait.Until(r.session.ctx, networkUp.Add(r.config.Delay)) {
		return
	}
	if err := r.open(); err != nil && r.session.ctx.Err() == nil {
		r.log(Event{Kind: Failed, Detail: err.Error()})
	}
}

func (r runningService) open() error {
	if r.config.Command != nil {
		return r.startProgram()
	}
	addr := r.config.AddrPort().String()
	began := time.Now() // a client may be served before Listen has returned
	if r.config.Network == "udp" {
		pc, err := r.machine.ListenPacket(r.session.ctx, "udp", addr)
		if err != nil {
			return fmt.Errorf("service %s: %w", r.config, err)
		}
		r.log(Event{Kind: ServiceUp, Time: began, Detail: r.config.String()})
		r.session.listen(pc, func() { r.serveDatagrams(pc) })
		return nil
	}
	ln, err := r.machine.Listen(r.session.ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("service %s: %w", r.config, err)
	}
	r.log(Event{Kind: ServiceUp, Time: began, Detail: r.config.String()})
	r.session.listen(ln, func() { r.serveConns(ln) })
	return nil
}

// startProgram starts the program that provides the service. ServiceUp says that it was
// started, not that it listens.
func (r runningService) startProgram() error {
	ctx, cancel := context.WithCancel(r.session.ctx)
	cmd := r.machine.Command(ctx, r.config.Command.Args[0], r.config.Command.Args[1:]...)
	cmd.Env = append(os.Environ(), r.config.Command.Env...)
	if err := r.machine.Start(cmd); err != nil {
		cancel()
		return fmt.Errorf("service %s: %w", r.config, err)
	}
	r.log(Event{Kind: ServiceUp, Detail: r.config.String()})
	r.session.listen(killer(cancel), func() {
		defer cancel()
		_ = cmd.Wait() // it ended by itself or was killed
	})
	return nil
}

// killer ends a program.
type killer context.CancelFunc

func (k killer) Close() error {
	k()
	return nil
}

func (r runningService) serveConns(ln net.Listener) {
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
		r.log(Event{Kind: Accepted, Remote: remote(tcp.RemoteAddr()), Detail: r.config.String()})
		r.session.accept(tcp, func() { r.echo(tcp) })
	}
}

// echo ends when the peer or the session ends the connection.
func (r runningService) echo(conn *net.TCPConn) {
	if _, err := io.WriteString(conn, Banner(r.machine.name)); err != nil {
		return
	}
	_, _ = io.Copy(conn, conn) // its error is the end of the connection
}

func (r runningService) serveDatagrams(pc net.PacketConn) {
	buf := make([]byte, 1<<16)
	for n := 1; ; n++ {
		size, from, err := pc.ReadFrom(buf)
		if err != nil {
			return // the session has closed it
		}
		r.log(Event{Kind: Datagram, Remote: remote(from), Detail: string(buf[:size])})
		// A reply that cannot be sent is lost, as datagrams may be.
		_, _ = pc.WriteTo([]byte(DatagramReply(r.machine.name, n, buf[:size])), from)
	}
}

// log adds an event of the service to the log of the machine.
func (r runningService) log(e Event) {
	e.Service = r.config
	r.machine.log.add(e)
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
