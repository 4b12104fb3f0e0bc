package lan_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"nightporter/internal/lan"
	"nightporter/internal/waittest"
)

// sought is an address that the kernel could not resolve.
type sought struct {
	index int
	ip    netip.Addr
}

// TestUnresolved: what a local program sends to an address that no host has is reported, of
// both families, and what it sends to a host is not.
func TestUnresolved(t *testing.T) {
	porter, _ := neighbors(t)
	var u *lan.Unresolved
	var index int
	porter.do(func() (err error) {
		ifi, err := net.InterfaceByName("porter0")
		if err != nil {
			return err
		}
		index = ifi.Index
		u, err = lan.WatchUnresolved(slog.New(slog.DiscardHandler))
		return err
	})
	ctx, cancel := context.WithCancel(context.Background())
	seen, ended := make(chan sought, 100), make(chan error, 1)
	go func() {
		u.Run(ctx, func(index int, ip netip.Addr) { seen <- sought{index, ip} })
		ended <- u.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if err := receive(t, "the end of the reader", ended); err != nil {
			t.Error(err)
		}
	})
	none4, none6 := netip.MustParseAddr("192.168.7.99"), netip.MustParseAddr("2001:db8::99")
	for _, ip := range []string{"192.168.7.2", "2001:db8::2", none4.String(), none6.String()} {
		datagram(porter, netip.MustParseAddr(ip), 9)
	}
	want := map[sought]bool{{index, none4}: true, {index, none6}: true}
	for len(want) > 0 {
		got := receive(t, "an unresolved neighbor", seen)
		if !want[got] {
			t.Fatalf("told %+v, want %v", got, want)
		}
		delete(want, got)
	}
}

// TestLoopback: what a local program sends to an address of the host is seen, once, where
// it is asked for.
func TestLoopback(t *testing.T) {
	porter, _ := neighbors(t)
	porter.setUp("lo", true)
	porter.address("porter0", "192.0.2.7/32", 0)
	porter.address("porter0", "2001:db8:1::7/128", noDAD)
	own4, own6, last := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8:1::7"), netip.MustParseAddr("127.0.0.1")
	var l *lan.Loopback
	porter.do(func() (err error) {
		l, err = lan.OpenLoopback(nil)
		return err
	})
	if err := l.SetAddrs([]netip.Addr{own4, own6, last}); err != nil {
		t.Fatal(err)
	}
	seen, ended := make(chan lan.Packet, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- l.Run(ctx, func(p *lan.Packet) { seen <- *p }) }()
	t.Cleanup(func() {
		cancel()
		err := errors.Join(receive(t, "the end of the reader", ended), l.Close())
		if err != nil {
			t.Error(err)
		}
	})
	datagram(porter, netip.MustParseAddr("192.168.7.1"), 8) // own, and not asked for
	for _, ip := range []netip.Addr{own4, own6, last} {
		waittest.Until(t, "an address of "+ip.String(), func() bool { return ip == last || porter.localAddrs()[ip] })
		datagram(porter, ip, 9)
	}
	for _, want := range []netip.Addr{own4, own6, last} {
		p := receive(t, "a datagram", seen)
		for p.Kind == lan.PortUnreachable { // no program listens
			p = receive(t, "a datagram", seen)
		}
		if p.To != want || p.ToPort != 9 || p.Kind != lan.UDP {
			t.Errorf("saw %v to %v port %d, want a datagram to %v", p.Kind, p.To, p.ToPort, want)
		}
	}
}
