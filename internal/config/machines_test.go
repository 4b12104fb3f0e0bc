package config_test

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

const machinesFile = `
energy: {idle_watts: 40, sleep_watts: 1.25}
machines:
  - name: tower
    mac: 10-20-30-40-50-59 # unquoted digits stay text
    monitor:
      - ip: 192.0.2.7
        port: [22, "22/tcp", "51820/udp", "80/tcp", icmp, "443", icmp]
      - {ip: "2001:db8::7", port: []}
      - ip: "fe80::7"
        port:
          - 0x50
          - {port: 443, ready_timeout: 3m, wake_from: [192.0.2.0/24]}
          - {port: 8443/tcp, ready: "https:/health=204", established: true}
          - {port: 9/udp, ready: "delay:200ms"}
          - {port: 22, ready: syn-ack}
    idle_watts: 65
    sleep_watts: 0
    wake_from: [192.0.2.0/24, 198.51.100.1, "2001:db8::/64"]
    guests:
      - {mac: "52:54:00:00:00:09", ip: 192.0.2.9, port: ["8123/tcp"]}
      - {mac: "52:54:00:00:00:09", ip: "2001:db8::9", port: []}
    agentless: false
    password: 1.2.3.4
  - name: "Wohnzimmer: Fernseher ☕"
    mac: 02:00:00:00:00:01
    monitor: [{ip: 192.0.2.8, port: [9]}]
    idle_watts:
    wake_from:
    agentless: true
    watch: false
    password: "01-23-45-67-89-AB"
`

func TestMachines(t *testing.T) {
	tcp := func(n uint16) machine.Port { return machine.Port{Protocol: machine.TCP, Number: n} }
	udp := func(n uint16) machine.Port { return machine.Port{Protocol: machine.UDP, Number: n} }
	icmp := machine.Port{Protocol: machine.ICMP}
	limited, established := machine.Settings{ReadyTimeout: 3 * time.Minute, WakeFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, true
	want := contract()
	want.Energy = config.Energy{IdleWatts: 40, SleepWatts: 1.25}
	want.Machines = []machine.Spec{{
		Name: "tower",
		MAC:  ether.MAC{0x10, 0x20, 0x30, 0x40, 0x50, 0x59},
		Monitor: []machine.Address{
			{IP: netip.MustParseAddr("192.0.2.7"), Ports: []machine.Port{tcp(22), udp(22), udp(51820), tcp(80), icmp, tcp(443), udp(443)}},
			{IP: netip.MustParseAddr("2001:db8::7")},
			{IP: netip.MustParseAddr("fe80::7"), Ports: []machine.Port{tcp(80), udp(80), tcp(443), udp(443), tcp(8443), udp(9), tcp(22), udp(22)},
				Settings: map[machine.Port]machine.Settings{
					tcp(443): limited, udp(443): limited,
					tcp(8443): {Ready: machine.Ready{By: machine.ByHTTPS, Path: "/health", Status: 204}, Established: &established},
					udp(9):    {Ready: machine.Ready{By: machine.ByDelay, Delay: 200 * time.Millisecond}},
				}},
			{IP: netip.MustParseAddr("192.0.2.9"), MAC: ether.MAC{0x52, 0x54, 0, 0, 0, 9}, Ports: []machine.Port{tcp(8123)}},
			{IP: netip.MustParseAddr("2001:db8::9"), MAC: ether.MAC{0x52, 0x54, 0, 0, 0, 9}},
		},
		IdleWatts: 65,
		WakeFrom: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.1/32"), netip.MustParsePrefix("2001:db8::/64"),
		},
		Password: []byte{1, 2, 3, 4},
	}, {
		Name:       "Wohnzimmer: Fernseher ☕",
		MAC:        ether.MAC{2, 0, 0, 0, 0, 1},
		Monitor:    []machine.Address{{IP: netip.MustParseAddr("192.0.2.8"), Ports: []machine.Port{tcp(9), udp(9)}}},
		IdleWatts:  40, // as energy says
		SleepWatts: 1.25,
		Agentless:  true,
		Unwatched:  true,
		Password:   []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab},
	}}
	same(t, load(t, machinesFile, nil), want)
}

// The watts of energy reach machines also from another layer.
func TestMachinesFollowEnergy(t *testing.T) {
	c := load(t, machinesFile, nil, "--energy.idle_watts=100", "--energy.sleep_watts=3")
	if m := c.Machines[1]; m.IdleWatts != 100 || m.SleepWatts != 3 {
		t.Errorf("got %v and %v watts, want 100 and 3", m.IdleWatts, m.SleepWatts)
	}
}
