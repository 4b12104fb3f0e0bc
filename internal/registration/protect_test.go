package registration_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

var (
	ssh  = machine.Port{Protocol: machine.TCP, Number: 22}
	game = machine.Port{Protocol: machine.UDP, Number: 27015}
	web  = machine.Port{Protocol: machine.TCP, Number: 80}

	lan  = netip.MustParsePrefix("192.168.1.0/24")
	pc   = netip.MustParsePrefix("192.168.1.9/32")
	all4 = netip.MustParsePrefix("0.0.0.0/0")
)

// configured is what the configuration says of tower.
func configured() machine.Spec {
	return machine.Spec{
		Name: "tower", MAC: towerMAC, IdleWatts: 50, SleepWatts: 2, Password: []byte{1, 2, 3, 4},
		Monitor:  []machine.Address{{IP: towerIP4, Ports: []machine.Port{ssh, game}}, {IP: towerIP6}},
		WakeFrom: []netip.Prefix{lan, pc},
	}
}

func TestCheckConfigured(t *testing.T) {
	const rule = ": the configuration knows this machine, and only d8:cb:8a:39:be:a1 itself may change that"
	tests := []struct {
		name   string
		change func(*machine.Spec)
		conf   func(*machine.Spec)
		want   string // without the rule
	}{
		{name: "nothing"},
		{name: "the order", change: func(s *machine.Spec) {
			s.Monitor = []machine.Address{{IP: towerIP6}, {IP: towerIP4, Ports: []machine.Port{game, ssh}}}
			s.WakeFrom = []netip.Prefix{pc, lan}
		}},
		{name: "name", change: func(s *machine.Spec) { s.Name = "thief" }, want: `name: found "thief": expected "tower"`},
		{name: "another address", change: func(s *machine.Spec) { s.Monitor[1].IP = netip.MustParseAddr("192.168.1.66") },
			want: "monitor[1].ip: found 192.168.1.66: expected one of 192.168.1.5, fd00::5"},
		{name: "one more address", change: func(s *machine.Spec) {
			s.Monitor = append(s.Monitor, machine.Address{IP: netip.MustParseAddr("192.168.1.66")})
		}, want: "monitor[2].ip: found 192.168.1.66: expected one of 192.168.1.5, fd00::5"},
		{name: "one address less", change: func(s *machine.Spec) { s.Monitor = s.Monitor[:1] },
			want: "monitor: found no entry for fd00::5: expected one"},
		{name: "another service", change: func(s *machine.Spec) { s.Monitor[0].Ports = []machine.Port{ssh, web} },
			want: "monitor[0].port: found 80/tcp: expected one of 22/tcp, 27015/udp"},
		{name: "one service less", change: func(s *machine.Spec) { s.Monitor[0].Ports = []machine.Port{ssh} },
			want: "monitor[0].port: found no 27015/udp: expected it"},
		{name: "a service where there is none", change: func(s *machine.Spec) { s.Monitor[1].Ports = []machine.Port{ssh} },
			want: "monitor[1].port: found 22/tcp: expected none"},
		{name: "other settings", change: func(s *machine.Spec) {
			s.Monitor[0].Set([]machine.Port{ssh}, machine.Settings{ReadyTimeout: time.Minute})
		},
			want: "monitor[0].port: found other settings for 22/tcp: expected those of the configuration, or none"},
		{name: "another password", change: func(s *machine.Spec) { s.Password = []byte{1, 2, 3, 5} },
			want: "password: found another one: expected the configured one, or none"},
		{name: "a longer password", change: func(s *machine.Spec) { s.Password = []byte{1, 2, 3, 4, 5, 6} },
			want: "password: found another one: expected the configured one, or none"},
		{name: "a password where there is none", conf: func(s *machine.Spec) { s.Password = nil },
			want: "password: found another one: expected the configured one, or none"},
		{name: "other sources may wake it", change: func(s *machine.Spec) { s.WakeFrom = []netip.Prefix{all4} },
			want: "wake_from: found 0.0.0.0/0: expected one of 192.168.1.0/24, 192.168.1.9/32"},
		{name: "fewer sources may wake it", change: func(s *machine.Spec) { s.WakeFrom = []netip.Prefix{lan} },
			want: "wake_from: found no 192.168.1.9/32: expected it"},
		{name: "all sources may wake it", change: func(s *machine.Spec) { s.WakeFrom = nil },
			want: "wake_from: found no 192.168.1.0/24: expected it"},
		{name: "not all sources may wake it", conf: func(s *machine.Spec) { s.WakeFrom = nil },
			want: "wake_from: found 192.168.1.0/24: expected none"},
		{name: "another card that wakes it", change: func(s *machine.Spec) { s.WakeMAC = ether.MAC{2, 0, 0, 0, 0, 9} },
			want: "wake_mac: found 02:00:00:00:00:09: expected d8:cb:8a:39:be:a1"},
		{name: "idle_watts", change: func(s *machine.Spec) { s.IdleWatts = 5000 }, want: "idle_watts: found 5000: expected 50"},
		{name: "sleep_watts", change: func(s *machine.Spec) { s.SleepWatts = 0.5 }, want: "sleep_watts: found 0.5: expected 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, conf := registration.Request{Spec: configured()}, configured()
			if tt.change != nil {
				tt.change(&req.Spec)
			}
			if tt.conf != nil {
				tt.conf(&conf)
			}
			want := tt.want
			if want != "" {
				want += rule
			}
			if got := refusal(t, registration.CheckConfigured(req, conf)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// However much there is to say, the line keeps its end.
func TestCheckConfiguredIsBrief(t *testing.T) {
	conf := configured()
	for i := range registration.MaxPorts {
		conf.Monitor[0].Ports = append(conf.Monitor[0].Ports, machine.Port{Protocol: machine.TCP, Number: uint16(1000 + i)})
	}
	req := registration.Request{Spec: configured()}
	req.Monitor[0].Ports = []machine.Port{web}
	got := refusal(t, registration.CheckConfigured(req, conf))
	if !strings.Contains(got, "one of 22/tcp, 27015/udp, 1000/tcp, 1001/tcp and 254 more: ") || !strings.HasSuffix(got, "may change that") {
		t.Error(got)
	}
	req.Name = strings.Repeat("ü", 64)
	if got := refusal(t, registration.CheckConfigured(req, conf)); !strings.HasSuffix(got, "may change that") {
		t.Error(got)
	}
}

func TestCheckForeign(t *testing.T) {
	r := request(otherMAC, "192.168.1.6", "fd00::5")
	const want = `monitor[1].ip: found fd00::5, which the configuration gives to "tower" (d8:cb:8a:39:be:a1): expected an address of aa:00:00:00:00:02`
	if got := refusal(t, registration.CheckForeign(r, configured())); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := refusal(t, registration.CheckForeign(request(otherMAC, "192.168.1.6"), configured())); got != "" {
		t.Error(got)
	}
}

func TestFromItself(t *testing.T) {
	for _, trust := range []registration.Trust{registration.Self, registration.Allowlist, registration.Open} {
		p := registration.Policy{Trust: trust}
		for peer, want := range map[string]bool{
			"192.168.1.5":        true,
			"::ffff:192.168.1.5": true,
			"fe80::5%eth0":       true,
			"192.168.1.6":        false, // not in the neighbor table
			"127.0.0.1":          false,
			"10.0.0.1":           false, // from behind a router
		} {
			want = want || trust == registration.Self // was proven before
			got, err := p.FromItself(t.Context(), request(towerMAC), from(peer), newNetwork())
			if got != want || err != nil {
				t.Errorf("%v, tower from %s: %t, %v; want %t", trust, peer, got, err, want)
			}
		}
	}
	open := registration.Policy{Trust: registration.Open}
	if got, err := open.FromItself(t.Context(), request(otherMAC), from("192.168.1.5"), newNetwork()); got || err != nil {
		t.Errorf("tower in the name of another: %t, %v", got, err)
	}
	n := newNetwork()
	n.broken = errors.New("netlink: broken")
	got, err := open.FromItself(t.Context(), request(towerMAC), from("192.168.1.5"), n)
	if want := "look up 192.168.1.5 in the neighbor table: netlink: broken"; got || fmt.Sprint(err) != want {
		t.Errorf("%t, %v; want %s", got, err, want)
	}
}
