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

// The guest of the tests: a virtual machine on nas.
var (
	guest4 = netip.MustParseAddr("10.77.0.30")
	guest6 = netip.MustParseAddr("fd77::30")
)

// hypervisor is nas, which has an IPv4 address alone, with its guest.
type hypervisor struct {
	*subject
	guest   *lab.Machine
	monitor []netip.Addr // what nas registers as its own addresses
	guests  string       // what it registers as its guests; empty: nothing
}

// acquainted is how the porter gets to know of a guest.
type acquainted struct {
	name       string
	conf       string
	configured bool // the configuration names the guest
	agentless  bool // ... and its host
	registered bool // the host names it
	withMAC    bool // ... and its MAC
	asOwn      bool // ... as an address of its own
}

var guestAcquaintances = []acquainted{
	{name: "configured", configured: true},
	{name: "agentless", configured: true, agentless: true},
	{name: "open", conf: "registration: {trust: open}\n", registered: true, withMAC: true},
	{name: "open, without a MAC", conf: "registration: {trust: open}\n", registered: true},
	{name: "registered and configured", configured: true, registered: true},
	{name: "monitored and configured", configured: true, asOwn: true},
}

// openHypervisor opens a house for nas and its guest: that comes up 3 s after nas, and its
// service 3 s later, which is between 7 and 9 s after the first SYN. The next ones come
// after 7 and 11 s.
func openHypervisor(t *testing.T, by acquainted, conf string, talkative bool) *hypervisor {
	t.Helper()
	t.Parallel()
	ctx, network := newLANFor(t, 3*time.Minute)
	bare := &house{T: t, ctx: ctx, lan: network}
	s := &hypervisor{subject: &subject{nas: bare.nas(func(c *lab.MachineConfig) {
		c.Addrs, c.Announce = c.Addrs[:1], talkative
	}), agentless: by.agentless}, monitor: []netip.Addr{nas4}}
	var err error
	s.guest, err = network.AddGuest(s.nas, lab.MachineConfig{
		Name: "guest", Addrs: []netip.Prefix{netip.PrefixFrom(guest4, 24), netip.PrefixFrom(guest6, 64)},
		Boot: 3 * time.Second, ARPProbe: true, Announce: talkative,
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 22, Delay: 3 * time.Second}},
	})
	bare.must(err)
	if by.asOwn {
		s.monitor = append(s.monitor, guest4, guest6)
	}
	if by.registered {
		s.guests = s.guestEntries(by.withMAC)
	}
	s.conf = fieldProbe + by.conf + conf
	if by.configured {
		s.conf += fmt.Sprintf("machines: [{name: nas, mac: %q, agentless: %t, monitor: [{ip: %s, port: [22, icmp]}], guests: %s}]\n",
			s.nas.MAC(), by.agentless, nas4, s.guestEntries(true))
	}
	if by.agentless {
		s.conf += "watch: {interval: 500ms}\n"
	}
	s.house, s.began = openOn(ctx, t, network, s.conf), time.Now()
	return s
}

// guestEntries is the guest in a registration and, being JSON, in the configuration.
func (s *hypervisor) guestEntries(withMAC bool) string {
	var all []string
	for _, ip := range []netip.Addr{guest4, guest6} {
		mac := ""
		if withMAC {
			mac = fmt.Sprintf(`"mac": %q, `, s.guest.MAC())
		}
		all = append(all, fmt.Sprintf(`{%s"ip": %q, "port": [22]}`, mac, ip))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// registration is what nas says before it sleeps.
func (s *hypervisor) registration() string {
	var monitor []entry
	for _, ip := range s.monitor {
		monitor = append(monitor, entry{ip, []any{22, "icmp"}})
	}
	text := body("nas", s.nas.MAC(), monitor...)
	if s.guests != "" {
		text = strings.TrimSuffix(text, "}") + `, "guests": ` + s.guests + "}"
	}
	return text
}

// sleeps lets both sleep until they are claimed.
func (s *hypervisor) sleeps() {
	s.Helper()
	n := s.d.Log.Len()
	if !s.agentless {
		s.register(s.nas.Host, s.registration())
	}
	s.must(s.nas.Sleep(s.ctx))
	limit := 20 * time.Second
	if s.agentless { // after a start its silence proves nothing for 30 s
		limit += max(0, time.Until(s.began.Add(30*time.Second)))
	}
	s.comes(limit, n, "nas", "asleep")
}

// ofGuest is the guest in the place of nas.
func (s *hypervisor) ofGuest() *subject { return &subject{house: s.house, nas: s.guest} }

// undisturbed expects that nobody was disturbed by the porter, and nothing woken twice.
func (s *hypervisor) undisturbed() {
	s.Helper()
	for _, m := range []*lab.Machine{s.nas, s.guest} {
		if happened(m, lab.DADFailed) {
			s.Errorf("%s: duplicate address detection failed", m.Name())
		}
	}
	if got := s.events("nas", journal.Conflict); len(got) > 0 {
		s.Errorf("told of conflicts: %+v", got)
	}
	s.wokenOnce()
}

// TestFieldGuests: a client knocks at the guest of a machine that sleeps. The host boots,
// the guest some seconds later with its tests, and its service later still. The client is
// served as soon as that is up, and nothing else happens.
func TestFieldGuests(t *testing.T) {
	t.Parallel()
	for _, by := range guestAcquaintances {
		for _, in := range settings {
			for _, ip := range []netip.Addr{guest4, guest6} {
				for _, talkative := range []bool{false, true} {
					if in.agentless {
						continue // by says so
					}
					t.Run(fmt.Sprintf("%s/%s/%v/talkative=%t", by.name, in.name, ip, talkative), func(t *testing.T) {
						plain := in.name == "registered"
						unless(t, by.name == "configured" && plain || talkative == (ip == guest4) && (plain && ip == guest6 || by.name == "configured" && ip == guest4))
						s := openHypervisor(t, by, in.conf, talkative)
						if in.forwards {
							forward(t, s.lan.Porter())
						}
						s.sleeps()
						for _, a := range []netip.Addr{nas4, guest4, guest6} {
							if got := s.knows("nas").address(a); got.Standing != "claimed" {
								t.Errorf("%v is %s (%s), want claimed", a, got.Standing, got.Reason)
							}
						}
						n := s.d.Log.Len()
						s.ofGuest().atOnce("the client", s.callLater(s.lan.Client(), ip, 22))
						s.comes(10*time.Second, n, "nas", "awake")
						s.undisturbed()
						s.neighborOf(s.lan.Client(), ip, s.guest.MAC())
						s.neighborOf(s.lan.Client(), nas4, s.nas.MAC())
						if got := s.metric(`nightporter_replayed_packets_total{machine="nas"}`); got == 0 {
							t.Error("nothing was replayed")
						}
					})
				}
			}
		}
	}
}

// TestFieldGuestsHostAlone: who knocks at the host is served without waiting for a guest
// that nobody knocked at. The guest's tests pass all the same, and then it is served, too.
func TestFieldGuestsHostAlone(t *testing.T) {
	t.Parallel()
	for _, in := range settings {
		for _, talkative := range []bool{false, true} {
			if in.agentless {
				continue
			}
			t.Run(fmt.Sprintf("%s/talkative=%t", in.name, talkative), func(t *testing.T) {
				unless(t, in.name == "registered")
				s := openHypervisor(t, guestAcquaintances[0], in.conf, talkative)
				if in.forwards {
					forward(t, s.lan.Porter())
				}
				s.sleeps()
				n := s.d.Log.Len()
				s.atOnce("the client", s.callLater(s.lan.Client(), nas4, 22))
				s.comes(time.Second, n, "nas", "awake")
				s.event(s.guest, lab.ServiceUp)
				for _, ip := range []netip.Addr{guest4, guest6} {
					s.neighborOf(s.lan.Client(), ip, s.guest.MAC())
				}
				s.call(s.lan.Client(), s.guest, guest4, 22)
				s.undisturbed()
			})
		}
	}
}

// TestFieldGuestsStraggler: a client that has missed the return sends to the porter for the
// guest. Its packets reach the guest, and it is told where that is.
func TestFieldGuestsStraggler(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{guest4, guest6} {
		t.Run(fmt.Sprint(ip), func(t *testing.T) {
			s := openHypervisor(t, guestAcquaintances[0], "", false)
			s.sleeps()
			s.ofGuest().atOnce("the client", s.callLater(s.lan.Client(), ip, 22))
			s.comes(10*time.Second, 0, "nas", "awake")
			late := s.another("late", 40)
			s.must(late.SetNeighbor(ip, s.lan.Porter().MAC()))
			began := time.Now()
			s.call(late, s.guest, ip, 22)
			if took := time.Since(began); took > 500*time.Millisecond {
				t.Errorf("connected after %v", took)
			}
			s.neighbor(late, ip, s.guest.MAC())
			s.undisturbed()
		})
	}
}

// TestFieldGuestsRestart: the porter is killed while all sleep. The next one claims the
// guest again, and serves it.
func TestFieldGuestsRestart(t *testing.T) {
	t.Parallel()
	for _, by := range guestAcquaintances {
		t.Run(by.name, func(t *testing.T) {
			unless(t, by.withMAC || by.name == "configured")
			s := openHypervisor(t, by, "", false)
			s.sleeps()
			s.stored("asleep", 1)
			s.d.Kill()
			s.again(s.conf)
			s.comes(20*time.Second, 0, "nas", "asleep")
			s.ofGuest().atOnce("the client", s.callLater(s.lan.Client(), guest6, 22))
			s.comes(10*time.Second, 0, "nas", "awake")
			s.undisturbed()
		})
	}
}

// TestFieldGuestsUnnamed: under trust: self nobody can prove that the address of another
// MAC belongs to a machine. It waits, and everybody is told what to do. The operator does
// it, and the guest is claimed.
func TestFieldGuestsUnnamed(t *testing.T) {
	t.Parallel()
	for _, withMAC := range []bool{true, false} {
		t.Run(fmt.Sprintf("mac=%t", withMAC), func(t *testing.T) {
			s := openHypervisor(t, acquainted{registered: true, withMAC: withMAC}, "", true)
			n := s.d.Log.Len()
			s.sleeps()
			for _, ip := range []netip.Addr{guest4, guest6} {
				got := s.knows("nas").address(ip)
				if got.Standing != "waiting" || !contains(got.Reason, s.guest.MAC().String(), "machines[].guests") {
					t.Errorf("%v is %s (%s), want waiting, and why", ip, got.Standing, got.Reason)
				}
				s.told("nas", journal.Waiting, about(ip))
				if mac := s.whoHas(s.lan.Client(), ip); mac != (ether.MAC{}) {
					t.Errorf("%v answers for %v", mac, ip)
				}
			}
			s.named(n, "WARN", guest4.String(), s.guest.MAC().String(), "machines[].guests")
			s.reload(s.conf+fmt.Sprintf("machines: [{name: nas, mac: %q, monitor: [{ip: %s, port: [22, icmp]}], guests: %s}]\n", s.nas.MAC(), nas4, s.guestEntries(true)),
				"configuration reloaded")
			s.stands(10*time.Second, guest4, "claimed")
			s.ofGuest().atOnce("the client", s.callLater(s.lan.Client(), guest4, 22))
			s.comes(10*time.Second, n, "nas", "awake")
			s.undisturbed()
		})
	}
}

// TestGuestInTheAPI: an address of a guest is shown with its MAC, those of the machine
// without.
func TestGuestInTheAPI(t *testing.T) {
	s := openHypervisor(t, guestAcquaintances[0], "", false)
	s.register(s.nas.Host, s.registration())
	var all []struct{ Monitor, Addresses []map[string]any }
	s.inside("/api/v1/machines", &all)
	for _, list := range [][]map[string]any{all[0].Monitor, all[0].Addresses} {
		for _, a := range list {
			if mac, told := a["mac"]; told != (a["ip"] != nas4.String()) || told && mac != s.guest.MAC().String() {
				t.Errorf("shown as %v", a)
			}
		}
		if len(list) != 3 {
			b, _ := json.Marshal(all)
			t.Errorf("shown as %s", b)
		}
	}
}
