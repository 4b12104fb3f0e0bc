package soak

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// All simulated machines have the same addresses: each is on a LAN of its own.
var (
	mac        = ether.MAC{0x02, 0, 0, 0, 0, 0x0a}
	rivalMAC   = ether.MAC{0x02, 0, 0, 0, 0, 0x0b} // of another host that uses an address of the machine
	ip4        = netip.MustParseAddr("10.77.0.20")
	ip6        = netip.MustParseAddr("fd77::20")
	otherIP    = netip.MustParseAddr("10.77.0.77") // unregistered: the machine may come up at it
	registered = []netip.Addr{ip4, ip6}
	ssh        = machine.Service{Addr: ip4, Port: machine.Port{Protocol: machine.TCP, Number: 22}}
	game       = machine.Service{Addr: ip6, Port: machine.Port{Protocol: machine.UDP, Number: 27015}}
	clientAddr = netip.MustParseAddrPort("10.77.0.10:40000")
)

func spec() machine.Spec {
	return machine.Spec{
		Name: "nas", MAC: mac, IdleWatts: 52, SleepWatts: 2,
		Monitor: []machine.Address{{IP: ip4, Ports: []machine.Port{ssh.Port}}, {IP: ip6, Ports: []machine.Port{game.Port}}},
	}
}

// defaultPolicy is the default of the configuration.
func defaultPolicy() machine.Policy {
	return machine.Policy{
		ProbeInterval: time.Second, ProbeMisses: 3, ProbeTimeout: 10 * time.Minute, WatchInterval: 10 * time.Second,
		WakeAttempts: 6, WakeInterval: 15 * time.Second, WakeTimeout: 5 * time.Minute, Keep: true, ReadyTimeout: time.Minute,
	}
}

// between draws a duration of at least least and less than most.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}
