package porter

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// invented returns the nth MAC and address of a host that is not there.
func invented(n int, six bool) (ether.MAC, netip.Addr) {
	mac := ether.MAC{6, 0, 0, 0, byte(n >> 8), byte(n)}
	if six {
		ip := netip.MustParseAddr("fd77::6:0").As16()
		ip[14], ip[15] = byte(n>>8)+1, byte(n)
		return mac, netip.AddrFrom16(ip)
	}
	return mac, netip.AddrFrom4([4]byte{10, 77, 0, byte(100 + n%150)})
}

// crowd has as many clients as are held knock at ip, each with a MAC of its own.
func (x *fixture) crowd(ip netip.Addr) {
	for i := range x.conf.Hold.Packets {
		mac, from := invented(i, ip.Is6())
		x.hear(parsed(lan.SYNProbe(mac, lantest.PorterMAC, netip.AddrPortFrom(from, 40000), netip.AddrPortFrom(ip, 22), 1)))
	}
}

// upAt has nas be up at ip, and refuse all connections.
func (x *fixture) upAt(e *entry, ip netip.Addr) {
	x.up(at(nas(), ip))
	x.pass(2 * time.Second)
	x.want(e, machine.Arriving)
	x.forgetSent()
}

// refusing is nas while it arrives without its service, and one client waits.
func (x *fixture) refusing(ip netip.Addr) {
	e := x.asleep(nas())
	x.hear(syn(ip, 22))
	x.upAt(e, ip)
}

// speaks is a broadcast of nas by which others may learn where it is.
func speaks(ip netip.Addr) *lan.Packet {
	if ip.Is6() {
		return lantest.Advertise(nasMAC, ether.MAC{0x33, 0x33, 0, 0, 0, 1}, nasMAC, ip)
	}
	return lantest.ARPRequest(nasMAC, ether.Broadcast, ip, unused4)
}

// TestAttackPinsToInventedMACs: a host has a machine of its own registered, which is up
// and never opens its port. Clients with invented MACs wait for it, and it says with many
// frames where it is. What the porter sends stays few, and a real client has its turn.
func TestAttackPinsToInventedMACs(t *testing.T) {
	for _, ip := range []netip.Addr{nas4, nas6} {
		for _, rate := range []int{0, 10, 200, 3000} {
			t.Run(fmt.Sprintf("%v/%d frames a second", ip, rate), func(t *testing.T) {
				withLoop(t, nil, func(x *fixture) {
					const lasts = 20 * time.Second
					e := x.asleep(nas())
					x.crowd(ip)
					x.upAt(e, ip)
					began, told := time.Now(), make(map[ether.MAC]time.Time)
					for n := range max(rate, 1) * int(lasts/time.Second) {
						if rate > 0 {
							x.hear(speaks(ip))
						}
						x.pass(time.Until(began.Add(time.Duration(n+1) * time.Second / time.Duration(max(rate, 1)))))
					}
					x.want(e, machine.Arriving)
					all, toOthers := 0, 0
					for _, s := range x.sent {
						all++
						if s.Dst == nasMAC {
							continue
						}
						toOthers++
						told[s.Dst] = s.at
					}
					seconds := int(lasts / time.Second)
					t.Logf("%d frames a second, of these %d to others", all/seconds, toOthers/seconds)
					if toOthers > unicastBurst+31*seconds || all > 150*seconds {
						t.Errorf("%d frames in %v, of these %d to others", all, lasts, toOthers)
					}
					for i := range x.conf.Hold.Packets {
						mac, _ := invented(i, ip.Is6())
						if at, ok := told[mac]; !ok || began.Add(lasts).Sub(at) > 3*time.Second {
							t.Errorf("client %d was pinned last at %v", i, at.Sub(began))
						}
					}
				})
			})
		}
	}
}

// TestAttackCorrectionsToInventedMACs: while a machine arrives, hosts that are not there ask
// for it. Each is answered, as by any host, and a few are pinned again.
func TestAttackCorrectionsToInventedMACs(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.refusing(nas4)
		const questions, lasts = 4000, 10
		for i := range questions {
			mac, ip := invented(i, false)
			x.hear(lantest.ARPRequest(mac, ether.Broadcast, ip, nas4))
			x.pass(lasts * time.Second / questions)
		}
		if got := x.count(func(s *sentFrame) bool { return s.Dst != nasMAC }) - questions; got > unicastBurst+31*lasts {
			t.Errorf("%d frames in %d s beside the answers", got, lasts)
		}
	})
}

// TestAttackStragglersFromInventedMACs: hosts that are not there send to the porter for a
// machine that is up. Each packet is sent on, as a kernel does that was sent it, and a few
// get its MAC.
func TestAttackStragglersFromInventedMACs(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(syn(nas4, 22))
		x.up(at(nas(), nas4)).open = []uint16{22}
		x.pass(2 * time.Second)
		x.want(e, machine.Awake)
		x.forgetSent()
		const packets, lasts = 4000, 10
		for i := range packets {
			mac, ip := invented(i, false)
			x.hear(parsed(lan.SYNProbe(mac, lantest.PorterMAC, netip.AddrPortFrom(ip, 40000), netip.AddrPortFrom(nas4, 80), 1)))
			x.pass(lasts * time.Second / packets)
		}
		if got := x.count(func(s *sentFrame) bool { return s.Dst != nasMAC && s.Dst.Unicast() }); got > unicastBurst+31*lasts {
			t.Errorf("%d frames in %d s beside the packets", got, lasts)
		}
		if got := x.count(func(s *sentFrame) bool { return s.Dst == nasMAC && s.Kind == lan.TCP && s.ToPort == 80 }); got != packets {
			t.Errorf("%d of %d packets were sent on", got, packets)
		}
	})
}

// A machine that says several times that it is up has its client told each time at once,
// and one that goes on so each 50 ms.
func TestPinsAreAtOnce(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.refusing(nas4)
		x.pass(5 * time.Second)
		told := func() int {
			n := x.count(func(s *sentFrame) bool { return s.Dst == clientMAC && s.Kind == lan.ARPRequest && s.From != s.To })
			x.forgetSent()
			return n
		}
		told()
		for i := range pinRounds {
			x.hear(speaks(nas4))
			if told() != 1 {
				t.Fatalf("not told at once by frame %d", i)
			}
		}
		x.hear(speaks(nas4))
		if n := told(); n != 0 {
			t.Errorf("told %d times without a pause", n)
		}
		if x.pass(pinPause); told() == 0 {
			t.Error("not told after the pause")
		}
	})
}

// TestWakesShareTheRation: beside machines of attackers another one has its part.
func TestWakesShareTheRation(t *testing.T) {
	crowd := make(awaited)
	if got := crowd.share(); got != unicastRate {
		t.Errorf("alone it has %v", got)
	}
	for range 200 {
		crowd[new(entry)] = true
	}
	if got := crowd.share(); got != unicastRateOfAll/200 {
		t.Errorf("of 200 it has %v", got)
	}
}
