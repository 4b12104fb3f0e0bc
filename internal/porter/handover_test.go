package porter

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// lobby notes what the porter does for those who wait.
type lobby struct {
	*night
	did []string
}

// wait has the nas wake for somebody, and notes what happens from its arrival on.
func (h *night) lobby() *lobby {
	l := &lobby{night: h}
	who := map[machine.MAC]string{clientMAC: "client", passerMAC: "passer", nasMAC: "nas", h.n.MAC(): "us"}
	h.n.ask = func(_ machine.MAC, s machine.Service) { l.did = append(l.did, "ask "+s.Port.String()) }
	h.n.guide = func(g handover.Guest, owner machine.MAC) {
		l.did = append(l.did, fmt.Sprintf("send %s to %s", who[g.MAC], who[owner]))
	}
	h.forward = func(p *lan.Packet, _ machine.MAC) error {
		l.did = append(l.did, fmt.Sprintf("forward %v from %s", p.Kind, who[p.Src]))
		return nil
	}
	announce := h.n.announcer.Send
	h.n.announcer.Send = func(ip netip.Addr, owner machine.MAC) {
		l.did = append(l.did, fmt.Sprintf("announce %v at %s", ip, who[owner]))
		announce(ip, owner)
	}
	return l
}

// happened returns what was done since the last call, questions once each.
func (l *lobby) happened() []string {
	did := l.did
	l.did = nil
	asked := map[string]bool{}
	return slices.DeleteFunc(did, func(s string) bool {
		again := asked[s]
		asked[s] = s[:3] == "ask"
		return again
	})
}

func (l *lobby) wantHappened(want ...string) {
	l.Helper()
	if d := cmp.Diff(want, l.happened()); d != "" {
		l.Errorf("happened (-want +got):\n%s", d)
	}
}

// real builds the packet with its frame: what is kept is parsed again.
func (l *lobby) real(from machine.MAC, kind lan.Kind, port uint16) *lan.Packet {
	l.Helper()
	build := func() ([]byte, error) {
		source, to := netip.AddrPortFrom(client4, clientPort), netip.AddrPortFrom(nas4, port)
		if kind == lan.UDP {
			return lan.DatagramProbe(from, l.n.MAC(), source, to)
		}
		return lan.SYNProbe(from, l.n.MAC(), source, to, 1)
	}
	frame, err := build()
	return parsed(l, frame, err)
}

func (l *lobby) counts(r *entry) machine.Packets { return r.hold.Counts() }

// Those who wait for different services are let in one after the other, each
// when its own is ready, and are told where the machine is before that.
func TestEachIsLetInWhenItsServiceIsReady(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		h.pass(10 * time.Second)
		l := h.lobby()
		h.frame(l.real(clientMAC, lan.TCP, 22))
		h.frame(l.real(passerMAC, lan.UDP, game.Number))
		h.frame(l.real(passerMAC, lan.TCP, 81)) // nobody registered that
		l.wantHappened()
		h.frame(arpRequest(nasMAC, machine.Broadcast, nas4, nas4))
		l.wantHappened("send client to us", "send passer to us", "ask 22/tcp")
		h.frame(l.real(passerMAC, lan.TCP, 81))
		l.wantHappened("forward tcp from passer")

		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
		h.frame(objection(h, game.Number))
		l.wantHappened("ask 27015/udp")
		h.frame(l.real(passerMAC, lan.UDP, game.Number))
		h.pass(60 * time.Millisecond) // asked again, and no objection
		h.pass(60 * time.Millisecond)
		got := l.happened()
		want := []string{"send passer to nas", "forward udp from passer", "forward udp from passer"}
		if i := slices.Index(got, want[0]); i < 0 || !slices.Equal(got[i:i+3], want) {
			t.Errorf("happened %q, want among it %q", got, want)
		}
		h.frame(l.real(passerMAC, lan.UDP, game.Number))
		h.want(r, machine.Arriving)

		l.happened()
		h.frame(h.accepts(nas4, 22))
		h.want(r, machine.Awake)
		l.wantHappened("announce 10.77.0.20 at nas", "send client to nas", "forward tcp from client")
		h.frame(l.real(clientMAC, lan.TCP, 23))
		l.wantHappened("forward tcp from client")
		if got := l.counts(r); got != (machine.Packets{Held: 3, Replayed: 3}) {
			t.Errorf("counts %+v", got)
		}
		if got := h.Porter.machines["nas"].hold.Counts(); got.Held != 3 {
			t.Errorf("the status has %+v", got)
		}
		h.frame(advertise(nasMAC, h.n.MAC(), nasMAC, nas6))
		h.pass(machine.AnnouncedFor)
		l.happened()
		h.frame(l.real(clientMAC, lan.TCP, 23))
		l.wantHappened()
	})
}

// objection is the machine's answer to our datagram for a port.
func objection(h *night, port uint16) *lan.Packet {
	p := ipPacket(lan.PortUnreachable, nasMAC, nas4, porter4)
	p.Dst, p.Target, p.FromPort, p.ToPort = h.n.MAC(), nas4, lan.ProbePort(0), port
	return p
}

// Whoever waits is told again that it does it here when the machine says
// something that others hear, and from time to time.
func TestPinsAreRenewed(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.asleep(nas())
		h.pass(10 * time.Second)
		l := h.lobby()
		h.frame(l.real(clientMAC, lan.TCP, 22))
		h.frame(arpProbe(nasMAC, nas4))
		l.wantHappened("send client to us", "ask 22/tcp")
		h.frame(arpRequest(nasMAC, machine.Broadcast, nas4, nobody4))
		l.wantHappened("send client to us")
		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4)) // to us alone
		h.frame(segment(nasMAC, nas4, porter4, lan.ProbePort(0), flagRST|flagACK))
		l.wantHappened()
		h.frame(arpRequest(passerMAC, machine.Broadcast, client4, nas4)) // answered by the machine alone
		l.wantHappened()
		h.frame(arpRequest(clientMAC, machine.Broadcast, client4, nas4)) // perhaps answered by both
		l.wantHappened("send client to us")
		for range 3 {
			h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4)) // it is there
			h.pass(pinAgain + 20*time.Millisecond)
			if got := l.happened(); !slices.Contains(got, "send client to us") {
				t.Errorf("happened %q, without a renewal", got)
			}
		}
	})
}

// What waits is dropped where nobody can be let in, and let in where somebody can.
func TestEndsOfTheWait(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*night, *entry)
		want machine.Packets
	}{
		{"the wake fails", func(h *night, r *entry) { h.pass(10 * time.Second); h.want(r, machine.Asleep, nas4, nas6) }, machine.Packets{Held: 1, Dropped: 1}},
		{"it is forgotten", func(h *night, r *entry) { h.tell(r, machine.Stopped{}); h.forget(r, "test") }, machine.Packets{Held: 1, Dropped: 1}},
		{"the porter leaves", func(h *night, _ *entry) { h.leave() }, machine.Packets{Held: 1, Dropped: 1}},
		{"the porter leaves while it arrives", func(h *night, _ *entry) { h.frame(arpProbe(nasMAC, nas4)); h.leave() }, machine.Packets{Held: 1, Replayed: 1}},
		{"it goes to sleep while it arrives", func(h *night, _ *entry) { h.frame(arpProbe(nasMAC, nas4)); h.register(nas()) }, machine.Packets{Held: 1, Dropped: 1}},
		{"it registers while it wakes", func(h *night, _ *entry) { h.register(nas()) }, machine.Packets{Held: 1}},
		{"its service never comes up", func(h *night, r *entry) {
			for range 21 {
				h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
				h.pass(time.Second)
			}
			h.want(r, machine.Awake)
		}, machine.Packets{Held: 1, Replayed: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			overnight(t, func(conf *config.Config) {
				conf.Wake.Attempts, conf.Wake.Interval, conf.Hold.ReadyTimeout = 2, 5*time.Second, 20*time.Second
			}, func(h *night) {
				r := h.asleep(nas())
				l := h.lobby()
				h.frame(l.real(clientMAC, lan.TCP, 22))
				c.end(h, r)
				if got := l.counts(r); got != c.want {
					t.Errorf("counts %+v, want %+v", got, c.want)
				}
			})
		})
	}
}

// A packet on a connection knocks only where that is wanted.
func TestEstablished(t *testing.T) {
	for _, established := range []bool{false, true} {
		overnight(t, func(c *config.Config) { c.Wake.Established = established }, func(h *night) {
			r := h.asleep(nas())
			p := segment(clientMAC, client4, nas4, 22, flagACK)
			h.frame(p) // no data
			h.want(r, machine.Asleep, nas4, nas6)
			p.Payload = 1
			h.frame(p)
			want := machine.Asleep
			if established {
				want = machine.Waking
			}
			h.want(r, want, nas4, nas6)
		})
	}
}
