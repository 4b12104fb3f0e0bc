package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

// card is the MAC on which a machine's network card wakes. The machine uses another one.
var card = ether.MAC{0xd8, 0xcb, 0x8a, 0x39, 0xbe, 0xa2}

// separateWakeMAC configures a machine with such a card.
func separateWakeMAC(c *lab.MachineConfig) { c.WakeMAC = card }

// nasConf returns an entry of machines for nas with more keys.
func nasConf(more string) string {
	return fmt.Sprintf("machines: [{name: nas, mac: %q, %s, monitor: [{ip: %s, port: [22, 27015/udp, icmp]}, {ip: %q, port: [22, 27015/udp, icmp]}]}]\n",
		ether.MAC{0x02, 0x77, 0, 0, 0, 0x14}, more, nas4, nas6)
}

// TestFieldTwoMACs: a machine uses a MAC that was set, and its card wakes on the built-in one.
// The porter wakes it by the second and recognizes it by the first, also after a restart.
func TestFieldTwoMACs(t *testing.T) {
	t.Parallel()
	wakeMAC := fmt.Sprintf("wake_mac: %q", card)
	for _, c := range []struct {
		name, conf string
		told       bool // registered by the client
	}{
		{"client", "", true},
		{"client, bind", "claim: {mode: bind}\n", true},
		{"configuration", nasConf(wakeMAC), false},
		{"agentless", nasConf(wakeMAC+", agentless: true") + "watch: {interval: 500ms}\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, network := newLANFor(t, 2*time.Minute)
			nas := (&harness{TB: t, ctx: ctx, lan: network}).addNAS(separateWakeMAC)
			h := openOn(ctx, t, network, forgotten+c.conf)
			began := time.Now()
			sleeps := func() {
				h.Helper()
				n := h.daemon.Log.Len()
				limit := 20 * time.Second
				if strings.Contains(c.conf, "agentless") { // after a start its silence proves nothing for 30 s
					limit += max(0, time.Until(began.Add(30*time.Second)))
				} else {
					args := []string{"register", "--to", h.lan.Porter().Addr4().String(), "--name", "nas", "--port", "22/tcp"}
					if c.told {
						args = append(args, "--wake-mac", card.String())
					}
					if out, err := h.runOn(nas.Host, args...); err != nil {
						t.Fatalf("the client ended with %v: %s", err, out)
					}
				}
				h.must(nas.Sleep(ctx))
				h.waitState(limit, n, "nas", "asleep")
			}
			serves := func(ip netip.Addr) {
				h.Helper()
				n := h.daemon.Log.Len()
				h.call(h.lan.Client(), nas, ip, 22)
				h.waitState(10*time.Second, n, "nas", "awake")
				h.wantNeighbor(h.lan.Client(), ip, nas.MAC())
			}
			sleeps()
			serves(nas4)
			if seen := magicPackets(nas); seen[lab.OverEthernet] < 2 || seen[lab.OverUDP] == 0 {
				t.Errorf("magic packets for the card: %v, want broadcast, unicast and UDP", seen)
			}
			sleeps()
			h.waitStored("asleep", 2)
			h.daemon.Kill()
			h.restart(forgotten + c.conf)
			n := h.daemon.Log.Len()
			h.waitState(20*time.Second, 0, "nas", "asleep")
			serves(nas6)
			if got := knownMachine(h, "nas"); got.MAC != nas.MAC() || got.WakeMAC != card {
				t.Errorf("known as %v, woken by %v", got.MAC, got.WakeMAC)
			}
			wantNoLine(h, 100*time.Millisecond, n, "an address conflict", func(e labdaemon.Entry) bool { return e.Field("event") == "conflict" })
			if happened(nas, lab.DADFailed) {
				t.Error("duplicate address detection failed")
			}
		})
	}
}

// TestFieldFirmwareOfTheCard: the boot firmware uses the built-in MAC for the machine's own IP
// address. That is no conflict, awake or asleep.
func TestFieldFirmwareOfTheCard(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			s := openMachine(t, forgotten+mode.conf+nasConf(fmt.Sprintf("wake_mac: %q", card)), false, func(c *lab.MachineConfig) {
				separateWakeMAC(c)
				c.Boot, c.Firmware, c.FirmwareARP, c.FirmwareDHCP = 1450*time.Millisecond, 300*time.Millisecond, true, true
			})
			n := s.daemon.Log.Len()
			s.sleepClaimed()
			s.wantServed(nas4)
			s.sleepClaimed()
			s.must(s.nas.Forge(card).ARPRequest(nas4, nas4)) // once while it sleeps
			s.wantServed(nas4)
			for _, e := range s.daemon.Log.Entries(n) {
				if e.Field("event") == "conflict" {
					t.Errorf("a conflict with %s", e.Field("used_by"))
				}
			}
			if happened(s.nas, lab.DADFailed) {
				t.Error("duplicate address detection failed")
			}
		})
	}
}

// TestCardOfAnotherMachine: a wake_mac that belongs to another machine is refused, and the
// answer names that machine.
func TestCardOfAnotherMachine(t *testing.T) {
	h := open(t, fieldProbe)
	nas, pc := h.addNAS(nil), h.addNAS(func(c *lab.MachineConfig) {
		c.Name, c.Addrs = "pc", []netip.Prefix{netip.MustParsePrefix("10.77.0.30/24")}
	})
	h.register(nas.Host, nasRegistration(nas))
	other := strings.TrimSuffix(registration("pc", pc.MAC(), monitored{pc.Addr4(), []any{22}}), "}") + fmt.Sprintf(`,"wake_mac":%q}`, nas.MAC())
	h.wantRefused(pc.Host, other, "wake_mac: found "+nas.MAC().String(), `"nas"`)
	if out, err := h.runOn(pc.Host, "register", "--to", h.lan.Porter().Addr4().String(), "--port", "22/tcp", "--wake-mac", "ff:ff:ff:ff:ff:ff"); err == nil {
		t.Errorf("a group is taken for a card: %s", out)
	}
}

// powerOnAtMagic waits for a magic packet of one kind for nas's card, and then starts the
// machine: the captured interface is its second card.
func (s *machineTest) powerOnAtMagic(capture *lab.Capture, kind string, match func(lab.Frame) bool) {
	s.Helper()
	began, heard := time.Now(), make(chan error, 1)
	ctx, cancel := context.WithTimeout(s.ctx, 20*time.Second)
	go func() {
		defer cancel()
		_, err := capture.Wait(ctx, func(f lab.Frame) bool { return f.Time.After(began) && match(f) })
		if err == nil {
			err = s.nas.PowerOn()
		}
		heard <- err
	}()
	s.call(s.lan.Client(), s.nas, nas4, 22)
	if err := <-heard; err != nil {
		s.Errorf("no %s was heard: %v", kind, err)
	}
}

// deafCard configures a machine whose card is on another segment: packets on the LAN do not
// wake it.
func deafCard(c *lab.MachineConfig) { c.IgnoreMagic = lab.IgnoreAll }

// TestFieldWakeInterface: the card that wakes a machine is on another segment. The porter has
// an interface there that it does not claim on, and which may come later and go.
func TestFieldWakeInterface(t *testing.T) {
	s := openMachine(t, fieldProbe+"wake: {interval: 1s, attempts: 30}\n"+nasConf("wake_interface: eth7"), false, deafCard)
	s.sleepClaimed()
	segment, err := s.lan.AddHostIn(7, "second card", netip.MustParsePrefix("10.87.0.20/24"))
	s.must(err)
	there, err := segment.Capture(s.ctx)
	s.must(err)
	here, err := s.lan.Client().Capture(s.ctx)
	s.must(err)
	magic := func(f lab.Frame) bool { return f.EtherType() == lab.EtherTypeWakeOnLAN && !f.Outgoing }

	n := s.daemon.Log.Len()
	later := s.callLater(s.lan.Client(), nas4, 22)
	missing := func(e labdaemon.Entry) bool { return e.Level == "WARN" && e.Field("event") == "wake_interface_failed" }
	_, err = s.daemon.Log.Wait(s.within(5*time.Second), n, missing)
	s.must(err)
	_, err = s.daemon.Log.Wait(s.within(10*time.Second), n, func(e labdaemon.Entry) bool { return e.Field("event") == "magic_failed" && e.Field("attempt") == "3" })
	s.must(err)
	told := 0
	for _, e := range s.daemon.Log.Entries(n) {
		if missing(e) || e.Level == "WARN" && e.Field("event") == "magic_failed" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("%d warnings that wake_interface is missing, want one", told)
	}
	_, err = s.lan.AddLeg(s.lan.Porter(), 7, netip.MustParsePrefix("10.87.0.2/24"))
	s.must(err)
	_, err = there.Wait(s.within(10*time.Second), magic)
	s.must(err)
	s.must(s.nas.PowerOn())
	s.waitCall(later, s.nas)
	s.waitState(10*time.Second, n, "nas", "awake")

	s.sleepClaimed()
	from := len(there.Frames())
	s.powerOnAtMagic(there, "magic packet", func(f lab.Frame) bool { return magic(f) && f.Dst() == s.nas.MAC() })
	var udp bool
	for _, f := range there.Frames()[from:] {
		udp = udp || f.Dst() == ether.Broadcast && strings.Contains(string(f.Payload()), magicBytes(s.nas.MAC())) && f.EtherType() != lab.EtherTypeWakeOnLAN
	}
	if !udp {
		t.Error("no magic datagram on the other segment")
	}
	for _, f := range here.Frames() {
		if magic(f) {
			t.Fatal("a magic packet on the LAN as well")
		}
	}
}

// magicBytes is the pattern that a card wakes on.
func magicBytes(mac ether.MAC) string {
	return strings.Repeat("\xff", 6) + strings.Repeat(string(mac[:]), 16)
}

// TestFieldWakeTo: the card is on a network behind a router. A datagram reaches it by the
// kernel's routes, to one address or to the broadcast address, beside the packets on the LAN.
func TestFieldWakeTo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, to, more string
		port           uint16
	}{
		{"unicast", "10.78.0.2", "wake_transports: [], ", 9},
		{"unicast, IPv6", "'[fd78::2]:7'", "", 7},
		{"directed broadcast", "10.78.0.255:4009", "", 4009},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openMachine(t, fieldProbe+nasConf(fmt.Sprintf("%swake_mac: %q, wake_to: %s", c.more, card, c.to)), false, deafCard)
			for _, name := range []string{"all", lab.Interface} { // a router must forward directed broadcasts (RFC 2644)
				s.must(s.lan.Router().Sysctl("net/ipv4/conf/"+name+"/bc_forwarding", "1"))
			}
			there, err := s.lan.Outside().Capture(s.ctx)
			s.must(err)
			here, err := s.lan.Client().Capture(s.ctx)
			s.must(err)
			s.sleepClaimed()
			s.powerOnAtMagic(there, "datagram", func(f lab.Frame) bool {
				return !f.Outgoing && strings.Contains(string(f.Payload()), string([]byte{byte(c.port >> 8), byte(c.port)})) && strings.HasSuffix(string(f.Payload()), magicBytes(card))
			})
			onLAN := 0
			for _, f := range here.Frames() {
				if f.EtherType() == lab.EtherTypeWakeOnLAN && f.Dst() == ether.Broadcast {
					onLAN++
				}
			}
			if (onLAN > 0) != (c.more == "") {
				t.Errorf("%d magic packets on the LAN", onLAN)
			}
		})
	}
}
