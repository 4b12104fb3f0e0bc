package lab_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
)

func TestWakesByMagicPacket(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas()
	cfg.SecureOn = []byte{1, 2, 3, 4, 5, 6}
	m := addMachine(t, l, cfg)
	good := magicBytes(m.MAC(), cfg.SecureOn...)
	udp := udp4(9, good)
	tests := []struct {
		name      string
		send      func()
		transport lab.Transport
		broadcast bool
	}{
		{"ethernet broadcast", func() { sendFrame(t, l.Porter(), ethernetFrame(ether.Broadcast, 0x0842, good)) }, lab.OverEthernet, true},
		{"ethernet unicast", func() { sendFrame(t, l.Porter(), ethernetFrame(m.MAC(), 0x0842, good)) }, lab.OverEthernet, false},
		{"udp 9 broadcast", func() { sendUDP(t, l.Porter(), "255.255.255.255:9", good) }, lab.OverUDP, true},
		{"udp 7 directed broadcast", func() { sendUDP(t, l.Client(), "10.77.0.255:7", good) }, lab.OverUDP, true},
		{"udp unicast", func() { sendFrame(t, l.Porter(), ethernetFrame(m.MAC(), 0x0800, udp)) }, lab.OverUDP, false},
		{"udp over IPv6", func() { sendFrame(t, l.Porter(), ethernetFrame(ether.Broadcast, 0x86dd, udp6(9, good))) }, lab.OverUDP, true},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			putToSleep(t, m)
			tt.send()
			e := wait(t, m, lab.MagicPacket)
			if e.Transport != tt.transport || e.Broadcast != tt.broadcast {
				t.Errorf("magic packet over %s, broadcast %t; want %s, %t", e.Transport, e.Broadcast, tt.transport, tt.broadcast)
			}
			on, up := wait(t, m, lab.PoweredOn), wait(t, m, lab.NetworkUp)
			if d := up.Time.Sub(on.Time); d < cfg.Boot {
				t.Errorf("network up after %s, want at least %s", d, cfg.Boot)
			}
			wait(t, m, lab.ServiceUp)
			served(t, l.Client(), "10.77.0.20:22", m.Name())
			if m.State() != lab.Awake || m.MagicCount() != i+1 {
				t.Errorf("state %s after %d magic packets, want awake after %d", m.State(), m.MagicCount(), i+1)
			}
		})
	}
}

func TestNotEveryPacketIsMagic(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas()
	cfg.SecureOn = []byte{1, 2, 3, 4}
	m := addMachine(t, l, cfg)
	putToSleep(t, m)
	other := ether.MAC{0x02, 0x77, 0, 0, 0, 99}
	good := magicBytes(m.MAC(), cfg.SecureOn...)
	for _, frame := range [][]byte{
		magicFrame(ether.Broadcast, m.MAC()),                        // no password
		magicFrame(ether.Broadcast, m.MAC(), 1, 2, 3, 5),            // a wrong one
		magicFrame(ether.Broadcast, other, cfg.SecureOn...),         // for another machine
		magicFrame(other, m.MAC(), cfg.SecureOn...),                 // to another's address
		ethernetFrame(ether.Broadcast, 0x0842, good[:len(good)-1]),  // cut off
		ethernetFrame(ether.Broadcast, 0x0800, udp4(10, good)),      // another port
		ethernetFrame(ether.Broadcast, 0x0843, good),                // another type
		ethernetFrame(ether.Broadcast, 0x0800, udp4(9, good)[:100]), // a short datagram
	} {
		sendFrame(t, l.Porter(), frame)
	}
	sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, m.MAC(), cfg.SecureOn...))
	wait(t, m, lab.NetworkUp)
	if n := m.MagicCount(); n != 1 {
		t.Errorf("%d magic packets were counted, want the last one only", n)
	}
}

func TestIgnoresMagic(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas()
	cfg.IgnoreMagic = 2
	m := addMachine(t, l, cfg)
	putToSleep(t, m)
	for range 2 {
		sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, m.MAC()))
		if e := wait(t, m, lab.MagicPacket); e.Detail != "ignored" {
			t.Errorf("magic packet: %s, want ignored", e.Detail)
		}
	}
	if m.State() != lab.Asleep {
		t.Fatalf("state %s, want asleep", m.State())
	}
	sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, m.MAC()))
	wait(t, m, lab.NetworkUp)

	putToSleep(t, m)
	m.IgnoreMagic(lab.IgnoreAll)
	for range 5 {
		sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, m.MAC()))
	}
	for range 6 { // the one that woke it, and these
		wait(t, m, lab.MagicPacket)
	}
	if m.State() != lab.Asleep || m.MagicCount() != 8 {
		t.Errorf("state %s after %d magic packets, want asleep after 8", m.State(), m.MagicCount())
	}
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if e := wait(t, m, lab.PoweredOn); e.Detail != "by magic packet over ethernet" {
		t.Errorf("first start: %s", e.Detail)
	}
	if e := wait(t, m, lab.PoweredOn); e.Detail != "by hand" {
		t.Errorf("second start: %s", e.Detail)
	}
	wait(t, m, lab.NetworkUp)
}

func TestServiceDelay(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas()
	cfg.Services[0].Delay = 300 * time.Millisecond
	m := addMachine(t, l, cfg)
	served(t, l.Client(), "10.77.0.20:22", m.Name()) // awake from the start, without delay
	putToSleep(t, m)
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	up := wait(t, m, lab.NetworkUp)
	if _, err := l.Client().Dial(testContext(t), "tcp", "10.77.0.20:22"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial before the service listens: %v, want refused", err)
	}
	e := wait(t, m, lab.ServiceUp)
	if d := e.Time.Sub(up.Time); d < cfg.Services[0].Delay {
		t.Errorf("service up %s after the network, want at least %s", d, cfg.Services[0].Delay)
	}
	if want := netip.MustParseAddrPort("10.77.0.20:22"); e.Service.AddrPort() != want {
		t.Errorf("service %s is up, want %s", e.Service, want)
	}
	served(t, l.Client(), "10.77.0.20:22", m.Name())
}

func TestBootDetectsDuplicateAddresses(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	m := addMachine(t, l, nas6())
	putToSleep(t, m)
	capture, err := l.CapturePort(testContext(t), m.Host)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	on, up := wait(t, m, lab.PoweredOn), wait(t, m, lab.NetworkUp)
	if d := up.Time.Sub(on.Time); d < time.Second {
		t.Errorf("network up after %s, want the second of duplicate address detection at least", d)
	}
	for range m.Services() {
		wait(t, m, lab.ServiceUp)
	}
	served(t, l.Client(), "[fd77::20]:22", m.Name())
	probe, err := capture.Wait(testContext(t), func(f lab.Frame) bool {
		return f.Outgoing && isSolicitation(f, netip.IPv6Unspecified(), m.Addr6())
	})
	if err != nil {
		t.Fatal(err)
	}
	if probe.Src() != m.MAC() || probe.Time.After(up.Time) {
		t.Errorf("probe from %s at %s, want from %s before %s", probe.Src(), probe.Time, m.MAC(), up.Time)
	}
	for _, f := range capture.Frames() {
		if f.Outgoing && f.Time.Before(up.Time) && isARP(f) {
			t.Errorf("a quiet machine sent %s before any host sent to it", f)
		}
	}
}

func TestDuplicateAddressIsFound(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas6()
	cfg.ARPProbe = true
	m := addMachine(t, l, cfg)
	putToSleep(t, m)
	for _, p := range []netip.Prefix{netip.MustParsePrefix("10.77.0.20/32"), netip.MustParsePrefix("fd77::20/128")} {
		if err := l.Porter().AddAddr(testContext(t), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	found := map[netip.Addr]bool{}
	for range 2 {
		found[wait(t, m, lab.DADFailed).Addr] = true
	}
	if !found[m.Addr4()] || !found[m.Addr6()] {
		t.Errorf("duplicates %v, want %s and %s", found, m.Addr4(), m.Addr6())
	}
	wait(t, m, lab.NetworkUp)
	for _, e := range m.Log() {
		if e.Kind == lab.ServiceUp && e.Time.After(wakeTime(m)) {
			t.Errorf("service %s is up on a duplicate address", e.Service)
		}
	}
}

// wakeTime is when the machine was last powered on.
func wakeTime(m *lab.Machine) (at time.Time) {
	for _, e := range m.Log() {
		if e.Kind == lab.PoweredOn {
			at = e.Time
		}
	}
	return at
}

func TestARPProbePasses(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas6()
	cfg.ARPProbe, cfg.Announce = true, true
	m := addMachine(t, l, cfg)
	putToSleep(t, m)
	capture, err := l.Client().Capture(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	up := wait(t, m, lab.NetworkUp)
	_, err = capture.Wait(testContext(t), func(f lab.Frame) bool {
		return isARPFrom(f, m.MAC(), m.Addr4(), m.Addr4())
	})
	if err != nil {
		t.Fatalf("no announcement by ARP: %v", err)
	}
	_, err = capture.Wait(testContext(t), func(f lab.Frame) bool { return isUnsolicited(f, m.MAC(), m.Addr6()) })
	if err != nil {
		t.Fatalf("no unsolicited advertisement: %v", err)
	}
	probes := 0
	for _, f := range capture.Frames() {
		if isARPFrom(f, m.MAC(), netip.IPv4Unspecified(), m.Addr4()) && f.Time.Before(up.Time) {
			probes++
		}
	}
	if probes != 3 {
		t.Errorf("%d ARP probes before the address was used, want 3", probes)
	}
}
