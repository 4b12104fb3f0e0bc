package lab_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"

	"github.com/mdlayher/ethernet"

	"nightporter/internal/lab"
)

// TestManagementFirmware: it answers ARP, solicitations and pings, and nothing else, until
// the operating system is up.
func TestManagementFirmware(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas6()
	cfg.Managed, cfg.Boot = true, 500*time.Millisecond
	m := addMachine(t, l, cfg)
	client := l.Client()
	answered := func() {
		t.Helper()
		for _, ip := range []netip.Addr{m.Addr4(), m.Addr6()} {
			if err := client.ForgetNeighbor(ip); err != nil {
				t.Fatal(err)
			}
			if err := client.Ping(testContext(t), ip); err != nil {
				t.Error(err)
			}
		}
	}
	putToSleep(t, m)
	answered()
	for _, ip := range []netip.Addr{m.Addr4(), m.Addr6()} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		to := netip.AddrPortFrom(ip, 22).String()
		if conn, err := client.Dial(ctx, "tcp", to); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial %s: %v %v, want silence", to, conn, err)
		}
	}
	sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, m.MAC()))
	wait(t, m, lab.PoweredOn)
	answered()
	wait(t, m, lab.NetworkUp)
	for range m.Services() {
		wait(t, m, lab.ServiceUp)
	}
	served(t, client, "10.77.0.20:22", "nas")
	answered()
}

// TestReaddress: the machine comes up with its new addresses and serves there.
func TestReaddress(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	m := addMachine(t, l, nas6())
	moved := []netip.Prefix{netip.MustParsePrefix("10.77.0.77/24"), netip.MustParsePrefix("fd77::77/64")}
	if err := m.Readdress(moved...); err == nil || !strings.Contains(err.Error(), "it is awake") {
		t.Errorf("while it is awake: %v", err)
	}
	putToSleep(t, m)
	if err := m.Readdress(moved[1], moved[0]); err == nil {
		t.Error("IPv4 was replaced by IPv6")
	}
	if err := m.Readdress(moved...); err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	for range m.Services() {
		wait(t, m, lab.ServiceUp)
	}
	served(t, l.Client(), "10.77.0.77:22", "nas")
	served(t, l.Client(), "[fd77::77]:22", "nas")
	if m.Addr4() != moved[0].Addr() || m.Addr6() != moved[1].Addr() {
		t.Errorf("its addresses are %v and %v", m.Addr4(), m.Addr6())
	}
}

// TestBridge: a host whose interface is a bridge keeps its addresses and its MAC, and a
// bridged host is on the same LAN.
func TestBridge(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	porter, client := l.Porter(), l.Client()
	if err := l.MakeBridge(porter); err != nil {
		t.Fatal(err)
	}
	bridged, err := l.AddBridged(porter, "bridged", netip.MustParsePrefix("10.77.0.40/24"), netip.MustParsePrefix("fd77::40/64"))
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []*lab.Host{client, bridged, l.Outside()} {
		for _, to := range []*lab.Host{porter, bridged, client} {
			for _, ip := range []netip.Addr{to.Addr4(), to.Addr6()} {
				if err := from.Ping(testContext(t), ip); err != nil {
					t.Errorf("from %s: %v", from.Name(), err)
				}
			}
		}
	}
	mac, _, _, err := bridged.Neighbor(porter.Addr4())
	if err != nil || mac != porter.MAC() {
		t.Errorf("the bridge is at %v (%v), want %v", mac, err, porter.MAC())
	}
	if err := l.Outside().AddRoute(netip.MustParsePrefix("10.99.0.0/24"), bridged.Addr4()); err == nil {
		t.Error("there is a route by a host that is not on the link")
	}
}

// TestClosedPort lets nothing through in either direction, under a link that is up.
func TestClosedPort(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	porter, client := l.Porter(), l.Client()
	atPorter, atClient := captureOf(t, porter), captureOf(t, client)
	say := func(from *lab.Host, typ ethernet.EtherType) {
		t.Helper()
		if err := from.Forge(from.MAC()).Frame(ether.Broadcast, typ, make([]byte, 46)); err != nil {
			t.Fatal(err)
		}
	}
	hears := func(c *lab.Capture, typ ethernet.EtherType) {
		t.Helper()
		if _, err := c.Wait(testContext(t), func(f lab.Frame) bool { return !f.Outgoing && f.EtherType() == typ }); err != nil {
			t.Fatal(err)
		}
	}
	const closed, open = 0x88b5, 0x88b6 // for experiments (IEEE 802)
	if err := l.OpenPort(porter, false); err != nil {
		t.Fatal(err)
	}
	say(porter, closed)
	say(client, closed)
	if err := l.OpenPort(porter, true); err != nil {
		t.Fatal(err)
	}
	say(porter, open)
	say(client, open)
	hears(atPorter, open)
	hears(atClient, open)
	for _, f := range append(atPorter.Frames(), atClient.Frames()...) {
		if !f.Outgoing && f.EtherType() == closed {
			t.Errorf("passed a closed port: %s", f)
		}
	}
	if err := l.OpenPort(l.Outside(), true); err == nil {
		t.Error("a host that is not on the switch has a port")
	}
}
