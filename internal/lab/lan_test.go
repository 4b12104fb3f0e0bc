package lab_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/ether"

	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
)

func TestAllHostsReachEachOther(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	hosts := []*lab.Host{l.Router(), l.Outside(), l.Porter(), l.Client()}
	for _, from := range hosts {
		for _, to := range hosts {
			for _, addr := range []netip.Addr{to.Addr4(), to.Addr6()} {
				if err := from.Ping(testContext(t), addr); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func TestLANIsQuicklyBuilt(t *testing.T) {
	need(t)
	best := time.Hour
	for range 3 {
		start := time.Now()
		l := newLAN(t)
		addMachine(t, l, nas6())
		other := nas6()
		other.Name = "desktop"
		other.Addrs = []netip.Prefix{netip.MustParsePrefix("10.77.0.21/24"), netip.MustParsePrefix("fd77::21/64")}
		addMachine(t, l, other)
		best = min(best, time.Since(start))
	}
	t.Log("LAN with two machines:", best)
	if limit := 300 * time.Millisecond; best > limit {
		t.Errorf("LAN with two machines took %s, want at most %s", best, limit)
	}
}

func TestHostNamesAndAddresses(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	want := map[*lab.Host]string{
		l.Router(): "02:77:00:00:00:01", l.Porter(): "02:77:00:00:00:02", l.Client(): "02:77:00:00:00:0a",
	}
	for h, mac := range want {
		if h.MAC().String() != mac {
			t.Errorf("host %s has MAC %s, want %s", h.Name(), h.MAC(), mac)
		}
	}
	twin, err := l.AddHost("twin", netip.MustParsePrefix("10.99.0.10/24"))
	if err != nil {
		t.Fatal(err)
	}
	if twin.MAC() == l.Client().MAC() {
		t.Errorf("two hosts have MAC %s", twin.MAC())
	}
	addrs, err := twin.AddrsNow()
	if err != nil || !slices.Equal(addrs, []netip.Prefix{netip.MustParsePrefix("10.99.0.10/24")}) {
		t.Errorf("twin has %v (%v), want its IPv4 address alone", addrs, err)
	}
	for _, name := range []string{"twin", "porter", ""} {
		if _, err := l.AddHost(name, netip.MustParsePrefix("10.77.0.99/24")); err == nil {
			t.Errorf("second host named %q was accepted", name)
		}
	}
	if h := l.Host("absent"); h != nil {
		t.Errorf("Host of an unknown name is %v, want nil", h)
	}
}

func TestAddressesComeAndGo(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	for _, p := range []netip.Prefix{netip.MustParsePrefix("10.77.0.77/32"), netip.MustParsePrefix("fd77::77/128")} {
		if err := l.Porter().AddAddr(testContext(t), p); err != nil {
			t.Fatal(err)
		}
		if err := l.Client().Ping(testContext(t), p.Addr()); err != nil {
			t.Error(err)
		}
		if err := l.Porter().DelAddr(p); err != nil {
			t.Fatal(err)
		}
		if addrs, err := l.Porter().AddrsNow(); err != nil || slices.Contains(addrs, p) {
			t.Errorf("after DelAddr: %v (%v), want no %s", addrs, err, p)
		}
	}
}

func TestTwoLANsAreApart(t *testing.T) {
	t.Parallel()
	one, two := newLAN(t), newLAN(t)
	if err := one.Porter().Sysctl("net/ipv4/ip_forward", "1"); err != nil {
		t.Fatal(err)
	}
	if v, err := two.Porter().ReadSysctl("net/ipv4/ip_forward"); err != nil || v != "0" {
		t.Errorf("ip_forward in the other LAN is %q (%v), want 0", v, err)
	}
	m := addMachine(t, one, nas())
	served(t, one.Client(), "10.77.0.20:22", m.Name())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := two.Client().Ping(ctx, m.Addr4()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ping from the other LAN: %v, want a timeout", err)
	}
}

func TestSysctlNames(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	for _, name := range []string{"kernel/hostname", "net/../kernel/hostname", "/net/ipv4/ip_forward", "net/ipv4/no_such", ""} {
		if err := l.Client().Sysctl(name, "0"); err == nil {
			t.Errorf("Sysctl(%q) was accepted", name)
		}
	}
}

func TestNeighbors(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	for _, ip := range []netip.Addr{l.Porter().Addr4(), l.Porter().Addr6()} {
		if _, _, ok, err := l.Client().Neighbor(ip); ok || err != nil {
			t.Fatalf("client knows %s (%v) before anything was sent", ip, err)
		}
		for range 2 { // also where it is warm already
			if err := l.Client().WarmNeighbor(testContext(t), ip); err != nil {
				t.Fatal(err)
			}
		}
		mac, state, ok, err := l.Client().Neighbor(ip)
		if err != nil || !ok || mac != l.Porter().MAC() || state&(unix.NUD_REACHABLE|unix.NUD_DELAY|unix.NUD_STALE) == 0 {
			t.Errorf("neighbor %s: %s state %#x %t (%v), want %s", ip, mac, state, ok, err, l.Porter().MAC())
		}
		for range 2 { // also where it is forgotten already
			if err := l.Client().ForgetNeighbor(ip); err != nil {
				t.Fatal(err)
			}
		}
		if mac, _, ok, err := l.Client().Neighbor(ip); ok || err != nil {
			t.Errorf("client still knows %s as %s (%v)", ip, mac, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := l.Client().WarmNeighbor(ctx, netip.MustParseAddr("10.77.0.250")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("warm a neighbor that is not there: %v, want a timeout", err)
	}
}

func TestDialSaysWhatTheKernelSays(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	for _, addr := range []string{"10.77.0.2:4", "[fd77::2]:4"} {
		if conn, err := l.Client().Dial(testContext(t), "tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial a closed port: %v %v, want refused", conn, err)
		}
	}
	for _, bad := range [][2]string{{"tcp", "porter:22"}, {"tcp", "10.77.0.2"}, {"ip", "10.77.0.2:1"}} {
		if _, err := l.Client().Dial(testContext(t), bad[0], bad[1]); err == nil {
			t.Errorf("Dial(%q, %q) was accepted", bad[0], bad[1])
		}
	}
	if _, err := l.Client().Listen(testContext(t), "tcp", "10.77.0.2:80"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("listen on another host's address: %v, want not available", err)
	}
}

func TestClosedLANRefuses(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	m := addMachine(t, l, nas())
	client, porter := l.Client(), l.Porter()
	capture, err := client.Capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := capture.Wait(testContext(t), func(lab.Frame) bool { return false }); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("Wait on a capture of a closed LAN: %v", err)
	}
	if _, open := <-m.Events(t.Context()); open {
		t.Error("Events of a closed LAN is open")
	}
	_, addErr := l.AddHost("late", netip.MustParsePrefix("10.77.0.9/24"))
	_, waitErr := m.WaitEvent(testContext(t), lab.NetworkUp)
	_, captureErr := client.Capture(t.Context())
	_, proxyErr := l.Proxy(porter, "10.77.0.20:22")
	for what, err := range map[string]error{
		"AddHost": addErr, "WaitEvent": waitErr, "Capture": captureErr, "Proxy": proxyErr,
		"Sleep": m.Sleep(t.Context()), "PowerOn": m.PowerOn(), "Do": client.Do(func() error { return nil }),
		"Start": porter.Start(helper(t.Context(), "exit")), "SendFrame": client.SendFrame(magicFrame(ether.Broadcast, m.MAC())),
	} {
		if err == nil {
			t.Errorf("%s on a closed LAN was accepted", what)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	if err := lab.Available(); err != nil {
		b.Skip(err)
	}
	for b.Loop() {
		l, err := lab.New(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
