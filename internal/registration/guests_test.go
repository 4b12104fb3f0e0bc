package registration_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

var (
	guestMAC = ether.MAC{0x52, 0x54, 0, 0, 0, 9}
	guestIP4 = netip.MustParseAddr("192.168.1.9")
	guestIP6 = netip.MustParseAddr("fd00::9")
)

func TestDecodeGuests(t *testing.T) {
	const mac = `{"mac":"d8:cb:8a:39:be:a1","wake_mac":"d8:cb:8a:39:be:a2",`
	r, err := registration.Decode([]byte(mac+`"guests":[{"mac":"52:54:00:00:00:09","ip":"192.168.1.9","port":["22/tcp"]},{"ip":"fd00::9","port":[]}]}`), defaults)
	want := []machine.Address{{IP: guestIP4, MAC: guestMAC, Ports: []machine.Port{ssh}}, {IP: guestIP6}}
	if err != nil || !reflect.DeepEqual(r.Guests, want) || !r.HasGuests || r.HasMonitor {
		t.Errorf("got %+v, %v", r, err)
	}
	for body, want := range map[string]string{
		`"guests":{}}`:                                                                                          `guests: found an object: expected a list such as [{"mac": "52:54:00:12:34:56", "ip": "192.168.1.6", "port": [22]}]`,
		`"guests":` + addresses(17) + `}`:                                                                       "guests: found 17 entries: expected at most 16",
		`"guests":[{"port":[]}]}`:                                                                               "guests[0].ip: missing: expected an IPv4 or IPv6 address",
		`"guests":[{"ip":"10.0.0.1"}]}`:                                                                         "guests[0].port: missing: expected a list of ports; an empty list claims the address, but no packet wakes",
		`"guests":[{"mac":1,"ip":"10.0.0.1"}]}`:                                                                 `guests[0].mac: found 1: expected a MAC address such as "d8:cb:8a:39:be:a1"`,
		`"guests":[{"mac":"ff:ff:ff:ff:ff:ff"}]}`:                                                               `guests[0].mac: found "ff:ff:ff:ff:ff:ff": expected the unicast address of one machine`,
		`"guests":[{"mac":"d8:cb:8a:39:be:a1","ip":"10.0.0.1","port":[]}]}`:                                     "guests[0].mac: found d8:cb:8a:39:be:a1, the machine's own: expected that of a guest; the machine's own addresses belong in monitor",
		`"guests":[{"mac":"d8:cb:8a:39:be:a2","ip":"10.0.0.1","port":[]}]}`:                                     "guests[0].mac: found d8:cb:8a:39:be:a2, the machine's own: expected that of a guest; the machine's own addresses belong in monitor",
		`"monitor":[{"ip":"10.0.0.1","port":[]}],"guests":[{"ip":"10.0.0.1","port":[]}]}`:                       `guests[0].ip: found "10.0.0.1": expected an address that is not in the list already`,
		`"guests":[{"ip":"10.0.0.1","port":[]}],"monitor":[{"ip":"10.0.0.1","port":[]}]}`:                       `monitor[0].ip: found "10.0.0.1": expected an address that is not in the list already`,
		`"monitor":[{"ip":"10.0.0.1","port":` + ports(128) + `}],"guests":[{"ip":"10.0.0.2","port":["icmp"]}]}`: "guests: found 257 services: expected at most 256",
	} {
		_, err := registration.Decode([]byte(mac+body), defaults)
		if got := fmt.Sprint(err); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", body, got, want)
		}
	}
}

// guest is an address of the guest of the tests; a zero MAC was not told.
func guest(ip netip.Addr, mac ether.MAC) machine.Address { return machine.Address{IP: ip, MAC: mac} }

// TestGuestPlaces: under self a guest is believed that the configuration names, and no
// other. Otherwise it is one that answers now. Whatever waits does not spoil the rest.
func TestGuestPlaces(t *testing.T) {
	const self, allow, open = registration.Self, registration.Allowlist, registration.Open
	noMAC := ether.MAC{}
	here := registration.Place{}
	waits := func(why registration.Reason, unproved bool) registration.Place {
		return registration.Place{Waiting: why, Unproved: unproved}
	}
	far := netip.MustParseAddr("10.0.0.9")
	for _, tt := range []struct {
		name    string
		trusts  []registration.Trust
		guest   machine.Address
		named   bool        // by the configuration
		answers []ether.MAC // for its address
		want    registration.Place
		mac     ether.MAC // that it is known with; zero: as the machine's own
		gone    bool      // it is left out
	}{
		{name: "it answers", trusts: []registration.Trust{allow, open}, guest: guest(guestIP4, guestMAC), answers: []ether.MAC{guestMAC}, want: here, mac: guestMAC},
		{name: "it is silent", trusts: []registration.Trust{allow, open}, guest: guest(guestIP4, guestMAC), want: waits(registration.GuestSilent, true), mac: guestMAC},
		{name: "another answers", trusts: []registration.Trust{allow, open}, guest: guest(guestIP4, guestMAC), answers: []ether.MAC{otherMAC},
			want: waits(registration.GuestSilent, true), mac: guestMAC},
		{name: "two answer", trusts: []registration.Trust{allow, open}, guest: guest(guestIP4, guestMAC), answers: []ether.MAC{guestMAC, otherMAC},
			want: waits(registration.GuestSilent, true), mac: guestMAC},
		{name: "its MAC is who answers", trusts: []registration.Trust{allow, open}, guest: guest(guestIP6, noMAC), answers: []ether.MAC{guestMAC}, want: here, mac: guestMAC},
		{name: "its MAC is unknown", trusts: []registration.Trust{self, allow, open}, guest: guest(guestIP4, noMAC), gone: true},
		{name: "it is the machine itself", trusts: []registration.Trust{self, allow, open}, guest: guest(guestIP4, noMAC), answers: []ether.MAC{towerMAC}, want: here},
		{name: "not configured", trusts: []registration.Trust{self}, guest: guest(guestIP4, guestMAC), answers: []ether.MAC{guestMAC},
			want: waits(registration.UnconfiguredGuest(guestMAC), false), mac: guestMAC},
		{name: "not configured, without a MAC", trusts: []registration.Trust{self}, guest: guest(guestIP4, noMAC), answers: []ether.MAC{guestMAC},
			want: waits(registration.UnconfiguredGuest(guestMAC), false), mac: guestMAC},
		{name: "named", trusts: []registration.Trust{self, allow, open}, guest: guest(guestIP4, guestMAC), named: true, want: here, mac: guestMAC},
		{name: "named, without a MAC", trusts: []registration.Trust{self, allow, open}, guest: guest(guestIP4, noMAC), named: true, want: here, mac: guestMAC},
		{name: "named with another MAC", trusts: []registration.Trust{self}, guest: guest(guestIP4, otherMAC), named: true,
			want: waits(registration.UnconfiguredGuest(otherMAC), false), mac: otherMAC},
		{name: "in no network", trusts: []registration.Trust{self, allow, open}, guest: guest(far, guestMAC), named: true, want: waits(registration.NoNetwork, false), mac: guestMAC},
	} {
		for _, trust := range tt.trusts {
			t.Run(tt.name+", "+trust.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNetwork()
					n.answers[tt.guest.IP] = tt.answers
					req := request(towerMAC, "192.168.1.5")
					req.Guests, req.HasGuests = []machine.Address{tt.guest}, true
					if tt.named {
						req.UseConfiguredGuests([]machine.Address{guest(tt.guest.IP, guestMAC)})
					}
					p := registration.Policy{Trust: trust, Allow: []ether.MAC{towerMAC}}
					v, err := p.Check(t.Context(), req, from("192.168.1.5"), n)
					if err != nil {
						t.Fatal(err)
					}
					if tt.gone {
						if len(v.Places) != 1 || len(v.Monitor) != 1 || len(v.Unknown) != 1 || v.Unknown[0] != tt.guest.IP {
							t.Errorf("got %+v", v)
						}
						return
					}
					tt.want.IP = tt.guest.IP
					if len(v.Places) != 2 || v.Places[1] != tt.want || v.Places[0] != (registration.Place{IP: towerIP4}) {
						t.Errorf("got %+v, want %+v", v.Places, tt.want)
					}
					if got := v.Monitor[1]; got.IP != tt.guest.IP || got.MAC != tt.mac {
						t.Errorf("known as %+v, want %v", got, tt.mac)
					}
				})
			})
		}
	}
}

// A guest alone is no registration, and what is forbidden is so for guests.
func TestGuestsThatRefuse(t *testing.T) {
	for _, tt := range []struct {
		name, ip string
		guest    machine.Address
		want     string
	}{
		{"only the guest could be claimed", "192.168.1.8", guest(guestIP4, guestMAC), "monitor[0].ip: no host answers for 192.168.1.8: expected d8:cb:8a:39:be:a1 (trust: self), try again"},
		{"a gateway", "192.168.1.5", guest(netip.MustParseAddr("192.168.1.254"), guestMAC), "guests[0].ip: found 192.168.1.254, a gateway's address: expected an address of the machine"},
		{"our own address", "192.168.1.5", guest(netip.MustParseAddr("192.168.1.1"), guestMAC), "guests[0].ip: found 192.168.1.1, an address of the porter's own host: expected an address of the machine"},
		{"our own MAC", "192.168.1.5", guest(guestIP4, porterMAC), "guests[0].ip: found 192.168.1.9 at b8:27:eb:00:00:01, an interface of the porter's own host: expected a guest of the machine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				req := request(towerMAC, tt.ip)
				req.UseConfiguredGuests([]machine.Address{tt.guest})
				_, err := (registration.Policy{}).Check(t.Context(), req, from("192.168.1.5"), newNetwork())
				if got := refusal(t, err); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

// What the configuration names counts.
func TestTooManyServicesWithGuests(t *testing.T) {
	req := request(towerMAC, "192.168.1.5")
	many := guest(guestIP4, guestMAC)
	for i := range machine.MaxServices {
		many.Ports = append(many.Ports, machine.Port{Protocol: machine.TCP, Number: uint16(i + 1)})
	}
	req.Monitor[0].Ports = []machine.Port{ssh}
	req.UseConfiguredGuests([]machine.Address{many})
	_, err := (registration.Policy{}).Check(t.Context(), req, from("192.168.1.5"), newNetwork())
	if want := "monitor: found 257 services with those of the guests that the configuration names: expected at most 256"; fmt.Sprint(err) != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestUseConfiguredGuests: what the configuration names is a guest wherever the machine names it,
// and stays where the machine names no guests.
func TestUseConfiguredGuests(t *testing.T) {
	known := []machine.Address{guest(guestIP4, guestMAC), guest(guestIP6, guestMAC)}
	silent := request(towerMAC, "192.168.1.5", "192.168.1.9")
	silent.UseConfiguredGuests(known)
	if silent.Monitor[0].Guest() || silent.Monitor[1].MAC != guestMAC || len(silent.Guests) != 1 || silent.Guests[0].IP != guestIP6 {
		t.Errorf("without guests of its own: %+v", silent)
	}
	speaks := request(towerMAC, "192.168.1.5")
	speaks.Guests, speaks.HasGuests = []machine.Address{guest(guestIP6, ether.MAC{})}, true
	speaks.UseConfiguredGuests(known)
	if len(speaks.Guests) != 1 || speaks.Guests[0].MAC != guestMAC {
		t.Errorf("with guests of its own: %+v", speaks)
	}
}

// A machine is no guest of another, nor another its guest, where that is believed.
func TestCheckGuests(t *testing.T) {
	host := func(counts bool) registration.GuestHost {
		s := configured()
		s.Monitor = append(s.Monitor, guest(guestIP4, guestMAC))
		return registration.GuestHost{Spec: s, Counts: func(netip.Addr) bool { return counts }}
	}
	itself := registration.GuestHost{Spec: machine.Spec{Name: "guest", MAC: guestMAC}, Counts: func(netip.Addr) bool { return true }}
	for _, tt := range []struct {
		registering, known registration.GuestHost
		want               string
	}{
		{host(true), itself, `guests: found 52:54:00:00:00:09, which is the mac of "guest": expected that of a guest, or "guest" to be forgotten first (` + "`nightporter forget guest`" + ` on the porter)`},
		{itself, host(true), `mac: found 52:54:00:00:00:09, which is a guest of "tower": expected that of a machine, or the guest to be left out there first`},
		{host(false), itself, ""},
		{itself, host(false), ""},
	} {
		if got := refusal(t, registration.CheckGuests(tt.registering, tt.known)); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// What the configuration says of guests only the machine itself may change.
func TestConfiguredGuests(t *testing.T) {
	conf := configured()
	conf.Monitor = append(conf.Monitor, machine.Address{IP: guestIP4, MAC: guestMAC, Ports: []machine.Port{ssh}})
	const rule = ": the configuration knows this machine, and only d8:cb:8a:39:be:a1 itself may change that"
	for want, change := range map[string]func(a *machine.Address){
		"": func(*machine.Address) {},
		"guests[0].mac: found aa:00:00:00:00:02: expected 52:54:00:00:00:09" + rule: func(a *machine.Address) { a.MAC = otherMAC },
		"monitor[2].mac: found none: expected 52:54:00:00:00:09" + rule:             func(a *machine.Address) { a.MAC = ether.MAC{} },
		"guests[0].port: found 80/tcp: expected 22/tcp" + rule:                      func(a *machine.Address) { a.Ports = []machine.Port{web} },
	} {
		req := registration.Request{Spec: configured()}
		req.Monitor = append(req.Monitor, conf.Monitor[2])
		change(&req.Monitor[2])
		if got := refusal(t, registration.CheckConfigured(req, conf)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	thief := request(otherMAC, "192.168.1.6")
	thief.Monitor = append(thief.Monitor, guest(guestIP4, ether.MAC{0x52, 0x54, 0, 0, 0, 1}))
	const want = `guests[0].ip: found 192.168.1.9, which the configuration gives to "tower" (d8:cb:8a:39:be:a1): expected an address of aa:00:00:00:00:02`
	if got := refusal(t, registration.CheckForeign(thief, conf)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
