package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// ICMP echo types (RFC 792, RFC 4443).
const (
	echoRequest4 = 8
	echoRequest6 = 128
	echoReply4   = 0
	echoReply6   = 129
)

// pingInterval is the pause between echo requests, as of ping(8).
const pingInterval = time.Second

// Ping sends an echo request to addr every second until one is answered or
// ctx ends. That a router or the own kernel calls addr unreachable does not
// end it.
func (h *Host) Ping(ctx context.Context, addr netip.Addr) error {
	lastErr := errors.New("no answer")
	for seq := byte(1); ; seq++ {
		err := h.pingOnce(ctx, addr, seq)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("host %s: ping %s: %w after %d requests: %w",
				h.name, addr, context.Cause(ctx), seq, lastErr)
		}
		lastErr = err
	}
}

// pingOnce sends one request and waits for its reply. Where there is none it
// returns after pingInterval, also if the kernel complains earlier.
func (h *Host) pingOnce(ctx context.Context, addr netip.Addr, seq byte) error {
	ctx, cancel := context.WithTimeout(ctx, pingInterval)
	defer cancel()
	err := h.echo(ctx, addr, seq)
	if err != nil {
		<-ctx.Done()
	}
	return err
}

func (h *Host) echo(ctx context.Context, addr netip.Addr, seq byte) error {
	proto, request, reply := unix.IPPROTO_ICMP, byte(echoRequest4), byte(echoReply4)
	if addr.Is6() {
		proto, request, reply = unix.IPPROTO_ICMPV6, echoRequest6, echoReply6
	}
	// An ICMP datagram socket ("ping socket"): the kernel fills in identifier
	// and checksum, and delivers only the replies to this socket.
	conn, err := h.connect(ctx, unix.SOCK_DGRAM, proto, netip.Addr{}, netip.AddrPortFrom(addr, 0))
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	if _, err := conn.Write([]byte{request, 0, 0, 0, 0, 0, 0, seq, 'l', 'a', 'b'}); err != nil {
		return err
	}
	return awaitReply(conn, reply, seq)
}

func awaitReply(conn net.Conn, reply, seq byte) error {
	buf := make([]byte, 256)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if n >= 8 && buf[0] == reply && buf[7] == seq {
			return nil
		}
	}
}
