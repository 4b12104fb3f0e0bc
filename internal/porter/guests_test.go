package porter

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

var (
	guestMAC = ether.MAC{0x52, 0x54, 0, 0, 0, 40}
	guest4   = netip.MustParseAddr("10.77.0.40")
)

// host is nas with a guest.
func host() machine.Spec {
	s := nas()
	s.Monitor = append(s.Monitor, machine.Address{IP: guest4, MAC: guestMAC, Ports: []machine.Port{ssh}})
	return s
}

// guestTarget is the guest of host, as a machine that answers.
func guestTarget() machine.Spec { return machine.Spec{MAC: guestMAC, Monitor: host().Monitor[2:]} }

func open(c *config.Config) { c.Registration.Trust = config.TrustOpen }

// toGuest returns where the frames went that are about the guest's address, but for
// those to all and to clients.
func toGuest(x *fixture, kinds ...lan.Kind) (macs []ether.MAC) {
	for _, s := range x.sent {
		if slices.Contains(kinds, s.Kind) && s.From == porter4 && s.To == guest4 && s.Dst != ether.Broadcast && !slices.Contains(macs, s.Dst) {
			macs = append(macs, s.Dst)
		}
	}
	return macs
}

// Whatever a guest is asked, and whatever is sent on to it, goes to its MAC, and the LAN
// is reported. The host is probed at its own.
func TestGuestIsProbedAtItsMAC(t *testing.T) {
	withLoop(t, open, func(x *fixture) {
		e := x.asleep(host())
		x.pass(8 * time.Second) // nothing is announced any more
		x.hear(syn(guest4, 22))
		x.want(e, machine.Waking, nas4, nas6, guest4)
		x.up(nas())
		x.pass(100 * time.Millisecond)
		x.want(e, machine.Arriving)
		x.forgetSent()
		x.pass(5 * time.Second) // the guest boots
		x.want(e, machine.Arriving)
		for _, kind := range []lan.Kind{lan.ARPRequest, lan.TCP} {
			if got := toGuest(x, kind); !slices.Equal(got, []ether.MAC{guestMAC}) {
				t.Errorf("%v for the guest went to %v", kind, got)
			}
		}
		if a := x.n.reader.View().Address(guest4); !a.AnswersClients() {
			t.Error("who asks for the guest is not answered while it boots")
		}
		x.forgetSent()
		x.up(guestTarget()).open = []uint16{22}
		x.pass(time.Second)
		x.want(e, machine.Awake)
		replayed := slices.ContainsFunc(x.sent, func(s sentFrame) bool {
			return s.Kind == lan.TCP && s.SYN() && s.From == client4 && s.To == guest4 && s.Dst == guestMAC
		})
		announced := slices.ContainsFunc(x.sent, func(s sentFrame) bool {
			return s.Kind == lan.ARPRequest && s.Dst == ether.Broadcast && s.From == guest4 && s.To == guest4 && s.SenderMAC == guestMAC
		})
		if !replayed || !announced {
			t.Errorf("replayed to the guest: %t, announced at its MAC: %t", replayed, announced)
		}
	})
}

// guestTold returns the MACs that the client got for the guest.
func guestTold(x *fixture) (macs []ether.MAC) {
	for _, s := range x.sent {
		if s.Dst == clientMAC && s.From == guest4 && (s.Kind == lan.ARPRequest || s.Kind == lan.ARPReply) && !slices.Contains(macs, s.SenderMAC) {
			macs = append(macs, s.SenderMAC)
		}
	}
	return macs
}

// A client that waited for a guest is pointed to it, and so is one that sends to us later.
func TestClientsArePointedToTheGuest(t *testing.T) {
	withLoop(t, open, func(x *fixture) {
		e := x.asleep(host())
		x.hear(syn(guest4, 22))
		x.up(nas())
		x.pass(time.Second)
		x.want(e, machine.Arriving)
		x.forgetSent()
		x.up(guestTarget()).open = []uint16{22}
		x.hear(lantest.ARPProbe(guestMAC, guest4))
		for len(guestTold(x)) == 0 || e.State() != machine.Awake {
			x.pass(5 * time.Millisecond)
		}
		if got := guestTold(x); got[len(got)-1] != guestMAC {
			t.Errorf("at the handover the client got %v", got)
		}
		x.pass(time.Minute)
		x.forgetSent()
		x.hear(syn(guest4, 443))
		x.pass(time.Second)
		if got := guestTold(x); !slices.Equal(got, []ether.MAC{guestMAC}) {
			t.Errorf("later it got %v", got)
		}
	})
}

// Where the network card of a host answers while it sleeps, a guest is ready all the same
// with its first answer, and is pinged at its own MAC.
func TestGuestBehindTheCard(t *testing.T) {
	withLoop(t, func(c *config.Config) { overridden(c); open(c) }, func(x *fixture) {
		spec := host()
		spec.Monitor[2].Ports = []machine.Port{ping}
		x.up(nas()).card = true
		e := x.register(spec)
		x.pass(15 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6, guest4)
		x.forgetSent()
		x.hear(echo(guest4))
		x.pass(time.Second)
		x.want(e, machine.Waking, nas4, nas6, guest4)
		if mac, used := x.machines.userOf(x.register(tv()), guest4); !used || mac != guestMAC {
			t.Errorf("the guest's address is used by %v", mac)
		}
		for _, s := range x.sent {
			if s.Kind == lan.EchoRequest && s.To == guest4 && s.From == porter4 && s.Dst != guestMAC {
				t.Fatalf("the guest is pinged at %v", s.Dst)
			}
		}
		x.up(guestTarget()).card = true // it answers nothing but ARP
		x.pass(time.Second)
		x.want(e, machine.Awake)
	})
}

// No guest is at a MAC of ours.
func TestGuestAtOurMAC(t *testing.T) {
	withLoop(t, open, func(x *fixture) {
		spec := host()
		spec.Monitor[2].MAC = x.n.MAC()
		e := x.asleepAt(request(spec), machine.Place{Addr: guest4, Reason: "not yet"})
		x.place()
		x.pass(time.Minute)
		x.want(e, machine.Asleep, nas4, nas6)
		x.wantWaits(e, guest4, "the MAC is that of an interface of this host")
	})
}

// A machine whose guest alone answers is up. One whose guest alone is silent is, too.
func TestGuestAnswerIsALife(t *testing.T) {
	withLoop(t, open, func(x *fixture) {
		guest := x.up(guestTarget())
		req := request(host())
		req.Here = true
		x.admitted(req, x.n)
		e := x.machine(nas())
		x.pass(time.Minute)
		x.want(e, machine.Awake)
		itself := x.up(nas())
		x.down(guest)
		x.pass(time.Minute)
		x.want(e, machine.Awake)
		x.down(itself)
		x.pass(time.Minute)
		x.want(e, machine.Asleep, nas4, nas6, guest4)
	})
}

// Under self a guest waits that the configuration does not name, until it does, and when
// it does no more.
func TestUnconfiguredGuest(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		places := registeredPlaces(registration.Verdict{Places: []registration.Place{
			{IP: nas4}, {IP: nas6}, {IP: guest4, Waiting: registration.UnconfiguredGuest(guestMAC)},
		}})
		e := x.asleepAt(request(host()), places...)
		x.want(e, machine.Asleep, nas4, nas6)
		x.wantWaits(e, guest4, string(registration.UnconfiguredGuest(guestMAC)))
		x.hear(lantest.ARPRequest(guestMAC, ether.Broadcast, guest4, unused4)) // it is a stranger
		x.want(e, machine.Asleep, nas4, nas6)
		x.configured(host())
		x.pass(5 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6, guest4)
		another := host()
		another.Monitor[2].MAC = otherMAC
		x.configured(another)
		x.pass(2 * time.Minute)
		x.want(e, machine.Asleep, nas4, nas6)
		x.wantWaits(e, guest4, string(registration.UnconfiguredGuest(guestMAC)))
	})
	withLoop(t, open, func(x *fixture) { // no proof is needed
		e := x.asleep(host())
		x.place()
		x.want(e, machine.Asleep, nas4, nas6, guest4)
	})
}

// What the configuration names stays where the machine names no guests.
func TestGuestsAreCompleted(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.configured(host())
		silent := registration.Request{Spec: machine.Spec{MAC: nasMAC}}
		x.machines.complete(&silent)
		if len(silent.Monitor) != 2 || len(silent.Guests) != 1 || silent.Guests[0].MAC != guestMAC {
			t.Errorf("of a machine that says nothing: %+v", silent)
		}
		if !silent.HasMonitor && silent.Monitor[0].Guest() {
			t.Error("a guest in monitor")
		}
	})
}

// A machine is no guest, and a guest no machine.
func TestGuestIsNoMachine(t *testing.T) {
	withLoop(t, open, func(x *fixture) {
		alone := named(machine.Spec{MAC: guestMAC, Monitor: []machine.Address{{IP: unused4}}}, "alone")
		x.register(alone)
		err := x.configure([]machine.Spec{host()})
		if want := `machines[0].guests[0].mac: found ` + guestMAC.String() + `: "alone" has registered with that as its mac`; err == nil || err.Error() != want {
			t.Errorf("configured: %v, want %s", err, want)
		}
		wantRefused(t, x.admit(admission{Request: request(host()), nic: x.n, fromMachine: true}), `which is the mac of "alone"`)
		waits := []machine.Place{{Addr: guest4, Reason: string(registration.UnconfiguredGuest(guestMAC))}}
		x.admitted(request(host()), x.n, waits...) // the guest is not believed, and does no harm
	})
	withLoop(t, open, func(x *fixture) {
		x.register(host())
		wantRefused(t, x.admit(admission{Request: request(machine.Spec{Name: "alone", MAC: guestMAC, Monitor: []machine.Address{{IP: unused4}}}), nic: x.n, fromMachine: true}), `which is a guest of "nas"`)
	})
}

// The guests of a machine that sleeps are not told who is where.
func TestSleepingGuestsAreNotPinned(t *testing.T) {
	withLoop(t, open, func(x *fixture) {
		x.hear(lantest.ARPRequest(guestMAC, ether.Broadcast, guest4, unused4)) // before it is known as a guest
		x.asleep(host())
		e := x.asleep(tv())
		x.hear(syn(tv4, 80))
		x.hear(lantest.ARPProbe(tvMAC, tv4))
		x.want(e, machine.Arriving)
		x.forgetSent()
		pinner{e}.pinHosts(tv4)
		x.turn()
		for _, s := range x.sent {
			if s.Dst == guestMAC {
				t.Error("a guest of a sleeping machine was pinned")
			}
		}
	})
}

// A guest with an unknown MAC is left out, and the log says so.
func TestGuestOfUnknownMAC(t *testing.T) {
	withLoop(t, open, func(x *fixture) {
		stop := x.serve()
		req := request(nas())
		req.Guests, req.HasGuests = []machine.Address{{IP: guest4}}, true
		err := x.porter.Register(x.Context(), req, registration.Peer{Addr: clientOf(nas4)})
		stop()
		if err != nil {
			t.Fatal(err)
		}
		if spec := x.machine(nas()).Spec(); len(spec.Monitor) != 2 || !strings.Contains(x.output.String(), "event=guest_unknown") {
			t.Errorf("known as %+v; the log:\n%s", spec, &x.output)
		}
	})
}
