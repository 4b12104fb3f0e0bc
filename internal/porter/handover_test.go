package porter

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// done returns what the porter has sent since the last call, a line each: whom it
// told where an address is, what it forwarded, and which service it probed, each
// once in a row. Questions for addresses are left out.
func (x *fixture) done() (lines []string) {
	x.Helper()
	who := map[ether.MAC]string{clientMAC: "client", otherMAC: "other", nasMAC: "nas", x.n.MAC(): "us", strangerMAC: "stranger"}
	for _, s := range x.sent {
		line := ""
		ip, owner, all := s.announces()
		switch {
		case all && s.Kind != lan.ARPRequest:
			line = fmt.Sprintf("announce %v at %s", ip, who[owner])
		case ip.IsValid() && !all:
			line = fmt.Sprintf("point %s to %s", who[s.Dst], who[owner])
		case s.Dst == nasMAC && s.Kind == lan.ARPRequest && s.From == client4:
			line = fmt.Sprintf("place %v at %s", s.From, who[s.SenderMAC])
		case s.Dst == nasMAC && lan.IsProbePort(s.FromPort):
			line = fmt.Sprintf("probe %d/%v", s.ToPort, s.Kind)
		case s.Dst == nasMAC && (s.Kind == lan.TCP || s.Kind == lan.UDP):
			line = fmt.Sprintf("forward %v from %v", s.Kind, s.From)
		}
		if line != "" && (len(lines) == 0 || lines[len(lines)-1] != line) {
			lines = append(lines, line)
		}
	}
	x.sent = nil
	return lines
}

func wantDone(x *fixture, want ...string) {
	x.Helper()
	if diff := cmp.Diff(want, x.done()); diff != "" {
		x.Errorf("done (-want +got):\n%s", diff)
	}
}

// inOrder reports whether all of want is in got, in that order.
func inOrder(got, want []string) bool {
	for _, line := range got {
		if len(want) > 0 && line == want[0] {
			want = want[1:]
		}
	}
	return len(want) == 0
}

// Clients that wait for different services are let in one after the other, each
// when its own is ready, and get its MAC before that.
func TestEachIsLetInWhenItsServiceIsReady(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.pass(10 * time.Second)
		x.done()
		x.hear(syn(nas4, 22))
		x.hear(datagramFrom(otherMAC, nas4, game.Number))
		x.hear(synFrom(otherMAC, nas4, 81)) // not registered
		wantDone(x)
		x.hear(lantest.ARPProbe(nasMAC, nas4))
		wantDone(x, "point client to us", "point other to us", "probe 22/tcp")
		x.hear(synFrom(otherMAC, nas4, 81))
		wantDone(x, "forward tcp from 10.77.0.10")

		up := x.up(nas())
		x.pass(300 * time.Millisecond)
		// The datagram asks, and its client must not hear of the refusal.
		want := []string{"place 10.77.0.10 at us", "forward udp from 10.77.0.10"}
		if got := x.done(); !inOrder(got, want) {
			t.Errorf("done %q while the port is closed, want among it %q", got, want)
		}
		up.open = []uint16{game.Number}
		x.pass(time.Second)
		got := x.done()
		want = []string{"place 10.77.0.10 at us", "forward udp from 10.77.0.10", "point other to nas", "place 10.77.0.10 at other"}
		if !inOrder(got, want) {
			t.Errorf("done %q, want among it %q", got, want)
		}
		if i := slices.Index(got, "point other to nas"); i >= 0 && slices.Contains(got[i:], want[1]) {
			t.Errorf("done %q: the datagram was sent again", got)
		}
		x.hear(datagramFrom(otherMAC, nas4, game.Number))
		if got := x.done(); !slices.Contains(got, want[1]) {
			t.Errorf("done %q: a client whose service is ready waits", got)
		}
		x.want(e, machine.Arriving)

		up.open = append(up.open, ssh.Number)
		for e.State() == machine.Arriving {
			x.done()
			x.pass(10 * time.Millisecond)
		}
		got = x.done()
		want = []string{"announce 10.77.0.20 at nas", "point client to nas", "forward tcp from 10.77.0.10"}
		if i := slices.Index(got, want[0]); i < 0 || !slices.Equal(got[i:i+3], want) {
			t.Errorf("done %q at the handover", got)
		}
		x.hear(syn(nas4, 23))
		wantDone(x, "forward tcp from 10.77.0.10", "point client to nas")
		if got := e.hold.Counts(); got != (machine.Packets{Held: 2, Replayed: 2}) {
			t.Errorf("counts %+v", got)
		}
		x.pass(time.Hour)
		x.done()
		x.hear(syn(nas4, 23))
		wantDone(x, "forward tcp from 10.77.0.10", "point client to nas")
	})
}

// A client that waits is pointed here again when the machine says
// something that others hear, and from time to time.
func TestPinsAreRenewed(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.asleep(nas())
		x.pass(10 * time.Second)
		x.done()
		x.hear(syn(nas4, 22))
		x.hear(lantest.ARPProbe(nasMAC, nas4))
		wantDone(x, "point client to us", "probe 22/tcp")
		x.hear(lantest.ARPRequest(nasMAC, ether.Broadcast, nas4, unused4))
		wantDone(x, "point client to us")
		x.hear(lantest.ARPReply(nasMAC, x.n.MAC(), nas4, porter4)) // to us alone
		x.hear(lantest.Segment(nasMAC, nas4, porter4, lan.ProbePort(0), lantest.RST|lantest.ACK))
		wantDone(x)
		x.hear(lantest.ARPRequest(otherMAC, ether.Broadcast, client4, nas4)) // perhaps answered by both
		x.pass(5 * time.Millisecond)
		if got := x.done(); !slices.Contains(got, "point other to us") || slices.Contains(got, "point client to us") {
			x.Errorf("done %q", got)
		}
		x.pass(2 * time.Second)
		x.done()
		x.hear(lantest.ARPRequest(clientMAC, ether.Broadcast, client4, nas4)) // perhaps answered by both
		x.pass(5 * time.Millisecond)
		if got := x.done(); !slices.Contains(got, "point client to us") {
			x.Errorf("done %q", got)
		}
		x.up(nas()) // and no service
		for range 3 {
			x.pass(pinInterval + 20*time.Millisecond)
			if got := x.done(); !slices.Contains(got, "point client to us") {
				t.Errorf("done %q, without a renewal", got)
			}
		}
	})
}

// What waits is dropped where no client can be let in, and let in where one can.
func TestEndsOfTheWait(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*fixture, *entry)
		want machine.Packets
	}{
		{"the wake fails", func(x *fixture, e *entry) { x.pass(10 * time.Second); x.want(e, machine.Asleep, nas4, nas6) }, machine.Packets{Held: 1, Dropped: 1}},
		{"it is forgotten", func(x *fixture, e *entry) { x.dispatch(e, machine.Stopped{}); x.forget(e, "test") }, machine.Packets{Held: 1, Dropped: 1}},
		{"the porter leaves", func(x *fixture, _ *entry) { x.releaseAll() }, machine.Packets{Held: 1, Dropped: 1}},
		{"the porter leaves while it arrives", func(x *fixture, _ *entry) { x.hear(lantest.ARPProbe(nasMAC, nas4)); x.releaseAll() }, machine.Packets{Held: 1, Replayed: 1}},
		{"it goes to sleep while it arrives", func(x *fixture, _ *entry) { x.hear(lantest.ARPProbe(nasMAC, nas4)); x.register(nas()) }, machine.Packets{Held: 1, Dropped: 1}},
		{"it registers while it wakes", func(x *fixture, _ *entry) { x.register(nas()) }, machine.Packets{Held: 1}},
		{"its service never comes up", func(x *fixture, e *entry) {
			x.up(nas())
			x.pass(21 * time.Second)
			x.want(e, machine.Awake)
		}, machine.Packets{Held: 1, Replayed: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			withLoop(t, func(conf *config.Config) {
				conf.Wake.Attempts, conf.Wake.Interval, conf.Hold.ReadyTimeout = 2, 5*time.Second, 20*time.Second
			}, func(x *fixture) {
				e := x.asleep(nas())
				x.hear(syn(nas4, 22))
				c.end(x, e)
				if got := e.hold.Counts(); got != c.want {
					t.Errorf("counts %+v, want %+v", got, c.want)
				}
			})
		})
	}
}

// A client that waits at an address that is left to another host is sent there,
// and nothing of ours is said or sent about it any more.
func TestNoClientWaitsAtAConcededAddress(t *testing.T) {
	for _, arriving := range []bool{false, true} {
		withLoop(t, nil, func(x *fixture) {
			e := x.asleep(nas())
			x.pass(10 * time.Second)
			x.hear(syn(nas4, 22))
			if arriving {
				x.hear(lantest.ARPProbe(nasMAC, nas4))
			}
			x.done()
			x.hear(arpUse(strangerMAC, nas4))
			wantDone(x, "point client to stranger")
			x.hear(lantest.DAD(nasMAC, nas6))
			if x.answersTo(clientMAC, nas4) {
				t.Error("answered for the address of another host")
			}
			x.hear(synFrom(otherMAC, nas4, 22))
			x.hear(lantest.Advertise(nasMAC, x.n.MAC(), nasMAC, nas6))
			x.want(e, machine.Awake)
			x.hear(syn(nas4, 22))
			wantDone(x, "announce fd77::20 at nas")
		})
	}
}

// A knock at an address that the machine has no more cannot hold up the handover
// until hold.ready_timeout, nor can one at a service that it has no more.
func TestHandoverOfWhatIsNoMore(t *testing.T) {
	for name, knock := range map[string]*lan.Packet{"an address": syn(nas6, 22), "a service": syn(nas4, 22)} {
		t.Run(name, func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				x.asleep(nas())
				x.hear(knock)
				spec := nas()
				spec.Monitor = []machine.Address{{IP: nas4, Ports: []machine.Port{http}}}
				e := x.register(spec)
				x.pass(claimTime)
				x.want(e, machine.Waking, nas4)
				x.up(spec)
				x.pass(200 * time.Millisecond)
				x.want(e, machine.Awake)
			})
		})
	}
}

// What came while a machine only said that it would sleep was repeated, or is of
// no use any more, when it turns out that it did not sleep.
func TestNothingOldIsSentToAMachineThatNeverSlept(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.register(nas())
		x.hear(datagram(nas4, game.Number))
		x.up(nas())
		x.pass(10*time.Minute + time.Second)
		x.want(e, machine.Awake)
		if got := x.done(); slices.ContainsFunc(got, func(s string) bool { return s[:4] == "forw" }) {
			t.Errorf("done %q", got)
		}
	})
}

// Nothing is sent to a group address.
func TestAGroupIsNoClient(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.asleep(nas())
		x.done()
		frame, err := lan.SYNProbe(clientMAC, x.n.MAC(), netip.AddrPortFrom(client4, lantest.ClientPort), netip.AddrPortFrom(nas4, 22), 1)
		copy(frame[6:12], ether.Broadcast[:])
		x.hear(parsed(frame, err))
		x.hear(lantest.ARPProbe(nasMAC, nas4))
		wantDone(x)
	})
}

// A machine that is started by hand while a client knocks: its service is probed
// before the client's packet goes there.
func TestKnockWhileItStartsByHand(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.pass(10 * time.Second)
		x.hear(arpUse(nasMAC, nas4))
		x.pass(time.Second)
		x.done()
		x.hear(syn(nas4, 22))
		x.want(e, machine.Arriving)
		wantDone(x, "point client to us", "probe 22/tcp")
		x.hear(arpUse(nasMAC, nas4))
		wantDone(x, "point client to us")
		x.up(nas()).open = []uint16{22}
		x.pass(time.Second)
		x.want(e, machine.Awake)
		if got := x.done(); !slices.Contains(got, "forward tcp from 10.77.0.10") {
			t.Errorf("done %q", got)
		}
	})
}

// A packet on a connection knocks only where that is wanted.
func TestEstablished(t *testing.T) {
	for _, established := range []bool{false, true} {
		withLoop(t, func(c *config.Config) { c.Wake.Established = established }, func(x *fixture) {
			e := x.asleep(nas())
			p := lantest.Segment(clientMAC, client4, nas4, 22, lantest.ACK)
			x.hear(p) // no data
			x.want(e, machine.Asleep, nas4, nas6)
			p.Payload = 2
			x.hear(p)
			want := machine.Asleep
			if established {
				want = machine.Waking
			}
			x.want(e, want, nas4, nas6)
		})
	}
}

// A machine with hundreds of services that are waited for is probed no more often
// than one with few.
func TestManyServicesAreNotManyProbes(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		const services = 200
		spec := at(nas(), nas4)
		spec.Monitor[0].Ports = nil
		for i := range services {
			spec.Monitor[0].Ports = append(spec.Monitor[0].Ports, machine.Port{Protocol: machine.TCP, Number: uint16(1000 + i)})
		}
		e := x.asleep(spec)
		for i := range services {
			x.hear(syn(nas4, uint16(1000+i)))
		}
		x.hear(lantest.ARPProbe(nasMAC, nas4))
		x.want(e, machine.Arriving)
		x.up(spec)
		x.forgetSent()
		x.pass(time.Second)
		asked, all := map[uint16]int{}, 0
		for _, s := range x.sent {
			if s.Kind == lan.TCP && lan.IsProbePort(s.FromPort) && s.Dst == nasMAC {
				asked[s.ToPort]++
				all++
			}
		}
		if all < probesPerSecond*9/10 || all > probesPerSecond*11/10 {
			t.Errorf("%d probes in the first second, want about %d", all, probesPerSecond)
		}
		for port, n := range asked {
			if n < all/services-2 || n > all/services+2 {
				t.Errorf("%d was probed %d times of %d", port, n, all)
			}
		}
		if len(asked) != services {
			t.Errorf("%d services were probed, want %d", len(asked), services)
		}
	})
}
