package lab_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
)

func TestCardAnswersForSleepingMachine(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas6()
	cfg.AnswersARPAsleep = true
	m := addMachine(t, l, cfg)
	putToSleep(t, m)
	for _, ip := range []netip.Addr{m.Addr4(), m.Addr6()} {
		if err := l.Client().WarmNeighbor(testContext(t), ip); err != nil {
			t.Fatal(err)
		}
		if mac, _, ok, err := l.Client().Neighbor(ip); mac != m.MAC() || !ok || err != nil {
			t.Errorf("neighbor %s is %s (%v), want %s", ip, mac, err, m.MAC())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		addr := netip.AddrPortFrom(ip, 22).String()
		if conn, err := l.Client().Dial(ctx, "tcp", addr); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial %s: %v %v, want silence", addr, conn, err)
		}
	}
	// A machine that wants the same addresses finds them taken.
	thief := nas6()
	thief.Name, thief.ARPProbe = "thief", true
	rival, err := l.AddMachine(thief)
	if err != nil {
		t.Fatal(err)
	}
	putToSleep(t, rival)
	if err := rival.PowerOn(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wait(t, rival, lab.DADFailed)
	}
	sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, m.MAC()))
	wait(t, m, lab.PoweredOn)
}

// TestCardAnswersWhoeverAsks: a question to the card's own MAC is answered like one
// to all, and so is an announcement of its address by another host, which is a
// question for ARP.
func TestCardAnswersWhoeverAsks(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas6()
	cfg.AnswersARPAsleep = true
	m, porter := addMachine(t, l, cfg), l.Porter()
	capture, err := porter.Capture(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	putToSleep(t, m)
	answered := func(frame []byte, err error, answer func(lab.Frame) bool) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		sendFrame(t, porter, frame)
		_, err = capture.Wait(testContext(t), func(f lab.Frame) bool {
			return !f.Outgoing && f.Src() == m.MAC() && f.Dst() == porter.MAC() && answer(f)
		})
		if err != nil {
			t.Error(err)
		}
	}
	replied := func(to netip.Addr) func(lab.Frame) bool {
		return func(f lab.Frame) bool { return isARPFrom(f, m.MAC(), m.Addr4(), to) }
	}
	request, err := lan.NeighborProbe(porter.MAC(), m.MAC(), porter.Addr4(), m.Addr4())
	answered(request, err, replied(porter.Addr4()))
	announcement, err := lan.Announcement(porter.MAC(), ether.Broadcast, porter.MAC(), m.Addr4(), netip.Addr{}, netip.Addr{})
	answered(announcement[0], err, replied(m.Addr4()))
	solicitation, err := lan.NeighborProbe(porter.MAC(), m.MAC(), porter.Addr6(), m.Addr6())
	answered(solicitation, err, func(f lab.Frame) bool { return isAnswer(f, m.Addr6()) })
}

func TestFirmwareSpeaksAndFallsSilent(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas()
	cfg.Boot, cfg.Firmware = 900*time.Millisecond, 100*time.Millisecond
	cfg.FirmwareDHCP, cfg.FirmwareARP, cfg.Announce = true, true, true
	m := addMachine(t, l, cfg)
	putToSleep(t, m)
	capture, err := l.CapturePort(testContext(t), m.Host)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	on := wait(t, m, lab.PoweredOn)
	wait(t, m, lab.ServiceUp)
	own := func(f lab.Frame) bool { return isARPFrom(f, m.MAC(), m.Addr4(), m.Addr4()) }
	announced := func(f lab.Frame) bool { return own(f) && f.Time.Sub(on.Time) >= cfg.Boot }
	if _, err := capture.Wait(testContext(t), announced); err != nil {
		t.Fatal(err)
	}
	var dhcp, arp int
	for _, f := range capture.Frames() {
		after := f.Time.Sub(on.Time)
		if !f.Outgoing || after >= cfg.Boot {
			continue
		}
		switch {
		case isDHCPDiscover(f):
			dhcp++
		case own(f):
			arp++
		default:
			t.Errorf("the firmware sent %s: %x", f, f.Data)
		}
		if after < cfg.Firmware || after > cfg.Boot-100*time.Millisecond {
			t.Errorf("the firmware spoke %s after power-on, want it soon after %s", after, cfg.Firmware)
		}
	}
	if dhcp != 2 || arp != 1 {
		t.Errorf("the firmware sent %d DHCPDISCOVER and %d ARP, want 2 and 1", dhcp, arp)
	}
}

func isDHCPDiscover(f lab.Frame) bool {
	b := f.Payload()
	return f.Dst() == ether.Broadcast && f.EtherType() == 0x0800 && len(b) > 28+240 &&
		[4]byte(b[12:16]) == [4]byte{} && binary.BigEndian.Uint16(b[20:]) == 68 && binary.BigEndian.Uint16(b[22:]) == 67
}

func TestMachineConfigIsChecked(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	tests := map[string]func(*lab.MachineConfig){
		"SecureOn: 5 bytes, want 4 or 6":             func(c *lab.MachineConfig) { c.SecureOn = make([]byte, 5) },
		"Firmware 1s, Boot 20ms: want 0 <=":          func(c *lab.MachineConfig) { c.Firmware = time.Second },
		"Suspend: want":                              func(c *lab.MachineConfig) { c.Suspend, c.FirmwareDHCP = true, true },
		"IgnoreMagic -2: want":                       func(c *lab.MachineConfig) { c.IgnoreMagic = -2 },
		`service 0: network "sctp": want tcp or`:     func(c *lab.MachineConfig) { c.Services[0].Network = "sctp" },
		"service 0: port 0, delay 0s: want":          func(c *lab.MachineConfig) { c.Services[0].Port = 0 },
		"service 0: address 10.77.0.21: want one":    func(c *lab.MachineConfig) { c.Services[0].Addr = netip.MustParseAddr("10.77.0.21") },
		"want a free unicast address":                func(c *lab.MachineConfig) { c.MAC = ether.Broadcast },
		`unicast address (taken by "client")`:        func(c *lab.MachineConfig) { c.MAC = l.Client().MAC() },
		"want a name and at least one address":       func(c *lab.MachineConfig) { c.Name = "" },
		"at least one address, have []":              func(c *lab.MachineConfig) { c.Addrs, c.Services = nil, nil },
		"host client: the name is taken":             func(c *lab.MachineConfig) { c.Name = lab.ClientName },
		"add address 10.77.0.20/24: netlink receive": func(c *lab.MachineConfig) { c.Addrs = append(c.Addrs, c.Addrs...) },
		"Boot -1s: want 0 <= Firmware <= Boot":       func(c *lab.MachineConfig) { c.Boot = -time.Second },
		"service 0: port 22, delay -1s: want a por":  func(c *lab.MachineConfig) { c.Services[0].Delay = -time.Second },
	}
	for want, breakIt := range tests {
		cfg := nas()
		breakIt(&cfg)
		if _, err := l.AddMachine(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to say %q", err, want)
		}
	}
	addMachine(t, l, nas()) // nothing of the above is left behind
}
