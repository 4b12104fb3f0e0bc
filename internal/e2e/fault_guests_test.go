package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
)

// The addresses of a virtual machine on nas.
var (
	guest4 = netip.MustParseAddr("10.77.0.30")
	guest6 = netip.MustParseAddr("fd77::30")
)

// hypervisor is nas with an IPv4 address, and its virtual machine.
type hypervisor struct {
	*machineTest
	vm        *lab.Machine
	monitor   []netip.Addr // the addresses that nas registers as its own
	vmEntries string       // the value of guests in its registration; empty: none
}

// guestConfig is how the porter learns of the virtual machine.
type guestConfig struct {
	name       string
	conf       string
	configured bool // the configuration names the virtual machine
	agentless  bool // ... and its host
	registered bool // the host names it
	withMAC    bool // ... and its MAC
	asOwn      bool // ... as an address of its own
}

var guestConfigs = []guestConfig{
	{name: "configured", configured: true},
	{name: "agentless", configured: true, agentless: true},
	{name: "open", conf: "registration: {trust: open}\n", registered: true, withMAC: true},
	{name: "open, without a MAC", conf: "registration: {trust: open}\n", registered: true},
	{name: "registered and configured", configured: true, registered: true},
	{name: "monitored and configured", configured: true, asOwn: true},
}

// openHypervisor starts a daemon for nas and its virtual machine, which starts 3 s after nas.
// Its service starts 3 s later, between 7 and 9 s after the first SYN. The next SYNs come after
// 7 and 11 s.
func openHypervisor(t *testing.T, by guestConfig, conf string, talkative bool) *hypervisor {
	t.Helper()
	t.Parallel()
	ctx, network := newLANFor(t, 3*time.Minute)
	bare := &harness{TB: t, ctx: ctx, lan: network}
	s := &hypervisor{machineTest: &machineTest{nas: bare.addNAS(func(c *lab.MachineConfig) {
		c.Addrs, c.Announce = c.Addrs[:1], talkative
	}), agentless: by.agentless}, monitor: []netip.Addr{nas4}}
	var err error
	s.vm, err = network.AddVirtualMachine(s.nas, lab.MachineConfig{
		Name: "vm", Addrs: []netip.Prefix{netip.PrefixFrom(guest4, 24), netip.PrefixFrom(guest6, 64)},
		Boot: 3 * time.Second, ARPProbe: true, Announce: talkative,
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 22, Delay: 3 * time.Second}},
	})
	bare.must(err)
	if by.asOwn {
		s.monitor = append(s.monitor, guest4, guest6)
	}
	if by.registered {
		s.vmEntries = s.guestEntries(by.withMAC)
	}
	s.conf = fieldProbe + by.conf + conf
	if by.configured {
		s.conf += fmt.Sprintf("machines: [{name: nas, mac: %q, agentless: %t, monitor: [{ip: %s, port: [22, icmp]}], guests: %s}]\n",
			s.nas.MAC(), by.agentless, nas4, s.guestEntries(true))
	}
	if by.agentless {
		s.conf += "watch: {interval: 500ms}\n"
	}
	s.harness, s.began = openOn(ctx, t, network, s.conf), time.Now()
	return s
}

// guestEntries is the value of guests in a registration and, being JSON, in the configuration.
func (s *hypervisor) guestEntries(withMAC bool) string {
	var all []string
	for _, ip := range []netip.Addr{guest4, guest6} {
		mac := ""
		if withMAC {
			mac = fmt.Sprintf(`"mac": %q, `, s.vm.MAC())
		}
		all = append(all, fmt.Sprintf(`{%s"ip": %q, "port": [22]}`, mac, ip))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// registration returns the registration of nas.
func (s *hypervisor) registration() string {
	var monitor []monitored
	for _, ip := range s.monitor {
		monitor = append(monitor, monitored{ip, []any{22, "icmp"}})
	}
	text := registration("nas", s.nas.MAC(), monitor...)
	if s.vmEntries != "" {
		text = strings.TrimSuffix(text, "}") + `, "guests": ` + s.vmEntries + "}"
	}
	return text
}

// sleepBoth lets both sleep until they are claimed.
func (s *hypervisor) sleepBoth() {
	s.Helper()
	n := s.daemon.Log.Len()
	if !s.agentless {
		s.register(s.nas.Host, s.registration())
	}
	s.must(s.nas.Sleep(s.ctx))
	limit := 20 * time.Second
	if s.agentless { // no silence counts for 30 s after a start
		limit += max(0, time.Until(s.began.Add(30*time.Second)))
	}
	s.waitState(limit, n, "nas", "asleep")
}

// guest returns the virtual machine as a machineTest.
func (s *hypervisor) guest() *machineTest { return &machineTest{harness: s.harness, nas: s.vm} }

// wantUndisturbed expects no failed address test, no conflict and one wake.
func (s *hypervisor) wantUndisturbed() {
	s.Helper()
	for _, m := range []*lab.Machine{s.nas, s.vm} {
		if happened(m, lab.DADFailed) {
			s.Errorf("%s: duplicate address detection failed", m.Name())
		}
	}
	if got := s.events("nas", journal.Conflict); len(got) > 0 {
		s.Errorf("events of conflicts: %+v", got)
	}
	s.wantWokenOnce()
}

// TestFieldGuests: a client knocks at the virtual machine of a machine that sleeps. The host
// boots, the virtual machine some seconds later with its address tests, and its service later
// still. The client is served as soon as that is up.
func TestFieldGuests(t *testing.T) {
	t.Parallel()
	for _, by := range guestConfigs {
		for _, in := range settings {
			for _, ip := range []netip.Addr{guest4, guest6} {
				for _, talkative := range []bool{false, true} {
					if in.agentless {
						continue // by has it
					}
					t.Run(fmt.Sprintf("%s/%s/%v/talkative=%t", by.name, in.name, ip, talkative), func(t *testing.T) {
						plain := in.name == "registered"
						variantUnless(t, by.name == "configured" && plain || talkative == (ip == guest4) && (plain && ip == guest6 || by.name == "configured" && ip == guest4))
						s := openHypervisor(t, by, in.conf, talkative)
						if in.forwards {
							forward(t, s.lan.Porter())
						}
						s.sleepBoth()
						for _, a := range []netip.Addr{nas4, guest4, guest6} {
							if got := knownMachine(s.harness, "nas").address(a); got.Standing != "claimed" {
								t.Errorf("%v is %s (%s), want claimed", a, got.Standing, got.Reason)
							}
						}
						n := s.daemon.Log.Len()
						s.guest().wantAtOnce("the client", s.callLater(s.lan.Client(), ip, 22))
						s.waitState(10*time.Second, n, "nas", "awake")
						s.wantUndisturbed()
						s.wantNeighbor(s.lan.Client(), ip, s.vm.MAC())
						s.wantNeighbor(s.lan.Client(), nas4, s.nas.MAC())
						if got := s.metric(`nightporter_replayed_packets_total{machine="nas"}`); got == 0 {
							t.Error("nothing was replayed")
						}
					})
				}
			}
		}
	}
}

// TestFieldGuestsHostAlone: a client of the host is served without waiting for the virtual
// machine. The address tests of the virtual machine succeed, and then it is served, too.
func TestFieldGuestsHostAlone(t *testing.T) {
	t.Parallel()
	for _, in := range settings {
		for _, talkative := range []bool{false, true} {
			if in.agentless {
				continue
			}
			t.Run(fmt.Sprintf("%s/talkative=%t", in.name, talkative), func(t *testing.T) {
				variantUnless(t, in.name == "registered")
				s := openHypervisor(t, guestConfigs[0], in.conf, talkative)
				if in.forwards {
					forward(t, s.lan.Porter())
				}
				s.sleepBoth()
				n := s.daemon.Log.Len()
				s.wantAtOnce("the client", s.callLater(s.lan.Client(), nas4, 22))
				s.waitState(time.Second, n, "nas", "awake")
				s.waitEvent(s.vm, lab.ServiceUp)
				for _, ip := range []netip.Addr{guest4, guest6} {
					s.wantNeighbor(s.lan.Client(), ip, s.vm.MAC())
				}
				s.call(s.lan.Client(), s.vm, guest4, 22)
				s.wantUndisturbed()
			})
		}
	}
}

// TestFieldGuestsLateClient: a client that has missed the release sends packets for the virtual
// machine to the porter. They reach the virtual machine, and the client learns its MAC.
func TestFieldGuestsLateClient(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{guest4, guest6} {
		t.Run(fmt.Sprint(ip), func(t *testing.T) {
			s := openHypervisor(t, guestConfigs[0], "", false)
			s.sleepBoth()
			s.guest().wantAtOnce("the client", s.callLater(s.lan.Client(), ip, 22))
			s.waitState(10*time.Second, 0, "nas", "awake")
			late := s.addClient("late", 40)
			s.must(late.SetNeighbor(ip, s.lan.Porter().MAC()))
			began := time.Now()
			s.call(late, s.vm, ip, 22)
			if took := time.Since(began); took > 500*time.Millisecond {
				t.Errorf("connected after %v", took)
			}
			s.waitNeighbor(late, ip, s.vm.MAC())
			s.wantUndisturbed()
		})
	}
}

// TestFieldGuestsRestart: the porter is killed while both sleep. The next run claims the
// virtual machine's addresses again, and serves them.
func TestFieldGuestsRestart(t *testing.T) {
	t.Parallel()
	for _, by := range guestConfigs {
		t.Run(by.name, func(t *testing.T) {
			variantUnless(t, by.withMAC || by.name == "configured")
			s := openHypervisor(t, by, "", false)
			s.sleepBoth()
			s.waitStored("asleep", 1)
			s.daemon.Kill()
			s.restart(s.conf)
			s.waitState(20*time.Second, 0, "nas", "asleep")
			s.guest().wantAtOnce("the client", s.callLater(s.lan.Client(), guest6, 22))
			s.waitState(10*time.Second, 0, "nas", "awake")
			s.wantUndisturbed()
		})
	}
}

// TestFieldGuestsUnnamed: under trust: self no registration proves that an address with another
// MAC belongs to a machine. The address waits, and the log, the event and the API name the
// remedy. With it in the configuration the address is claimed.
func TestFieldGuestsUnnamed(t *testing.T) {
	t.Parallel()
	for _, withMAC := range []bool{true, false} {
		t.Run(fmt.Sprintf("mac=%t", withMAC), func(t *testing.T) {
			s := openHypervisor(t, guestConfig{registered: true, withMAC: withMAC}, "", true)
			n := s.daemon.Log.Len()
			s.sleepBoth()
			for _, ip := range []netip.Addr{guest4, guest6} {
				got := knownMachine(s.harness, "nas").address(ip)
				if got.Standing != "waiting" || !contains(got.Reason, s.vm.MAC().String(), "machines[].guests") {
					t.Errorf("%v is %s (%s), want waiting, and why", ip, got.Standing, got.Reason)
				}
				s.waitAPIEvent("nas", journal.Waiting, aboutAddress(ip))
				if mac := whoHas(s.harness, s.lan.Client(), ip); mac != (ether.MAC{}) {
					t.Errorf("%v answers for %v", mac, ip)
				}
			}
			waitLine(s.harness, n, "WARN", guest4.String(), s.vm.MAC().String(), "machines[].guests")
			s.reload(s.conf+fmt.Sprintf("machines: [{name: nas, mac: %q, monitor: [{ip: %s, port: [22, icmp]}], guests: %s}]\n", s.nas.MAC(), nas4, s.guestEntries(true)),
				"configuration reloaded")
			waitStanding(s.harness, 10*time.Second, guest4, "claimed")
			s.guest().wantAtOnce("the client", s.callLater(s.lan.Client(), guest4, 22))
			s.waitState(10*time.Second, n, "nas", "awake")
			s.wantUndisturbed()
		})
	}
}

// TestGuestAddressInAPI: the API shows the MAC of an address of a virtual machine, and none
// for the machine's own addresses.
func TestGuestAddressInAPI(t *testing.T) {
	s := openHypervisor(t, guestConfigs[0], "", false)
	s.register(s.nas.Host, s.registration())
	var all []struct{ Monitor, Addresses []map[string]any }
	getInside(s.harness, "/api/v1/machines", &all)
	for _, list := range [][]map[string]any{all[0].Monitor, all[0].Addresses} {
		for _, a := range list {
			if mac, told := a["mac"]; told != (a["ip"] != nas4.String()) || told && mac != s.vm.MAC().String() {
				t.Errorf("shown as %v", a)
			}
		}
		if len(list) != 3 {
			b, _ := json.Marshal(all)
			t.Errorf("shown as %s", b)
		}
	}
}
