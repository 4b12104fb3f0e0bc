package lan_test

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// opened returns the source of the frame that opens a connection from one namespace to
// a listener of another.
func opened(t *testing.T, at, from *namespace, addr netip.Addr, control func(string, string, syscall.RawConn) error) (mac ether.MAC, saves bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var l net.Listener
	at.do(func() (err error) {
		l, err = (&net.ListenConfig{Control: control}).Listen(ctx, "tcp", netip.AddrPortFrom(addr, 0).String())
		return err
	})
	defer l.Close()
	var dialed net.Conn
	from.do(func() (err error) {
		dialed, err = new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		return err
	})
	defer dialed.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mac, err = lan.SYNSource(conn.(syscall.Conn))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := lan.SYNSource(conn.(syscall.Conn)); again != (ether.MAC{}) || err != nil {
		t.Errorf("asked again: %v, %v", again, err)
	}
	return mac, lan.SavesSYN(l.(syscall.Conn))
}

func TestSYNSource(t *testing.T) {
	porter, client := neighbors(t)
	porter.setUp("lo", true)
	for _, addr := range []netip.Addr{ip("192.168.7.1"), ip("2001:db8::1")} {
		if mac, saves := opened(t, porter, client, addr, lan.SaveSYN); mac != clientMAC || !saves {
			t.Errorf("%v: opened by %v, saved: %t, want %v", addr, mac, saves, clientMAC)
		}
		if mac, saves := opened(t, porter, client, addr, nil); mac != (ether.MAC{}) || saves {
			t.Errorf("%v, not saved: opened by %v, saved: %t", addr, mac, saves)
		}
		if mac, saves := opened(t, porter, porter, addr, lan.SaveSYN); mac != (ether.MAC{}) || !saves {
			t.Errorf("%v, from the host itself: opened by %v, saved: %t", addr, mac, saves)
		}
	}
}
