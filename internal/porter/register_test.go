package porter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/fastpath"
	"nightporter/internal/journal"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// wantRefused fails the test unless err is a refusal with the text.
func wantRefused(t *testing.T, err error, text string) {
	t.Helper()
	var r *registration.Refusal
	if !errors.As(err, &r) || !strings.Contains(r.Text, text) {
		t.Errorf("%v, want a refusal with %q", err, text)
	}
}

// Which state a machine is in when it registers, and how it gets there.
var inState = map[machine.State]func(*fixture) *entry{
	machine.Settling: func(x *fixture) *entry { return x.register(nas()) },
	machine.Asleep:   func(x *fixture) *entry { return x.asleep(nas()) },
	machine.Waking: func(x *fixture) *entry {
		e := x.asleep(nas())
		x.hear(syn(nas6, 22))
		return e
	},
	machine.Arriving: func(x *fixture) *entry {
		e := x.asleep(nas())
		x.hear(syn(nas6, 22))
		x.hear(lantest.DAD(nasMAC, nas6))
		return e
	},
	machine.Awake: func(x *fixture) *entry {
		e := x.asleep(nas())
		x.hear(syn(nas6, 22))
		up := x.up(nas())
		up.open = []uint16{22}
		x.pass(100 * time.Millisecond)
		x.down(up)
		return e
	},
}

// A machine that registers again is accepted in every state, with what it says
// now. Nothing of the old claim stays.
func TestRegisterAgain(t *testing.T) {
	moved := named(nas(), "tower")
	moved.Monitor = []machine.Address{{IP: nas6}, {IP: tv4, Ports: []machine.Port{http}}}
	for state, reach := range inState {
		t.Run(state.String(), func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				e := reach(x)
				if e.State() != state {
					t.Fatalf("%v, want %v", e.State(), state)
				}
				late := fastpath.Sighting{Kind: fastpath.SawUse, Target: e.target, Address: x.n.reader.View().Address(nas4)}
				if again := x.register(moved); again != e {
					t.Fatal("it became another entry")
				}
				x.want(e, machine.Settling)
				x.wantNames("tower")
				if x.answers(nas4) {
					t.Errorf("still answered for at %v, which it has no more", nas4)
				}
				if n := len(e.groups); n != 0 {
					t.Errorf("in %d solicited-node groups", n)
				}
				v := x.n.reader.View()
				if a := v.Address(nas6); a == nil || a.Target() != e.target || v.Address(nas4) != nil || v.Address(tv4) == nil {
					t.Errorf("not watched at what it registered: %v", v.Interest(nil))
				}
				// What was seen of the old addresses says nothing any more.
				x.handleSighting(late)
				x.pass(claimTime)
				if state == machine.Waking { // a client waits there: it is woken at once
					x.want(e, machine.Waking, nas6, tv4)
					return
				}
				x.want(e, machine.Asleep, nas6, tv4)
			})
		})
	}
}

// A machine that says it is here is watched from then on, in whatever state the
// porter has it.
func TestRegisterHere(t *testing.T) {
	for state, reach := range inState {
		t.Run(state.String(), func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				e := reach(x)
				x.up(nas()).open = []uint16{22}
				req := request(nas())
				req.Here = true
				x.admitted(req, x.n)
				x.pass(100 * time.Millisecond)
				x.want(e, machine.Awake)
				x.pass(time.Minute)
				x.want(e, machine.Awake)
				x.peers = nil // a power cut
				x.pass(20 * time.Second)
				x.want(e, machine.Asleep, nas4, nas6)
			})
		})
	}
}

// A registration of which one address waits is accepted, and that address is kept.
func TestRegistrationWithAnAddressThatWaits(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		spec := at(nas(), nas4, far4, nas6)
		verdict := registration.Verdict{Places: []registration.Place{
			{IP: nas4}, {IP: far4, Waiting: registration.NoNetwork, Unproved: true}, {IP: nas6, Waiting: registration.NoAnswer, Unproved: true},
		}}
		e := x.asleepAt(request(spec), registeredPlaces(verdict)...)
		x.want(e, machine.Asleep, nas4)
		x.wantWaits(e, far4, string(registration.NoNetwork))
		x.wantWaits(e, nas6, "the machine has not answered for it yet")
		if x.logged("address cannot be claimed") != 2 {
			t.Errorf("the log:\n%s", &x.output)
		}
		x.place() // nothing has changed
		x.pass(time.Minute)
		x.want(e, machine.Asleep, nas4)

		up := x.up(at(nas(), nas4, nas6)) // it answers for one of them now
		x.hear(arpUse(nasMAC, nas4))
		x.pass(time.Minute)
		x.want(e, machine.Awake)
		x.down(up)
		x.pass(time.Minute)
		x.want(e, machine.Asleep, nas4, nas6)
	})
}

// Without proof only trust self keeps an address from being claimed.
func TestRegisteredPlaces(t *testing.T) {
	got := registeredPlaces(registration.Verdict{Places: []registration.Place{
		{IP: nas4}, {IP: far4, Waiting: registration.NoNetwork}, {IP: tv4, Waiting: registration.NoNetwork, Unproved: true}, {IP: nas6, Waiting: registration.NotFound},
	}})
	want := []machine.Place{
		{Addr: nas4}, {Addr: far4, Reason: string(registration.NoNetwork)},
		{Addr: tv4, Reason: string(registration.NoNetwork), Unproved: true}, {Addr: nas6, Unproved: true},
	}
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

// Registrations that change nothing leave few records, whatever they say.
func TestRepeatedRegistrations(t *testing.T) {
	waits := []machine.Place{{Addr: nas6, Reason: string(registration.NoNetwork), Unproved: true}}
	for _, here := range []bool{false, true} {
		for _, places := range [][]machine.Place{nil, waits} {
			t.Run(fmt.Sprintf("here %t, %d addresses wait", here, len(places)), func(t *testing.T) {
				withLoop(t, nil, func(x *fixture) {
					if here {
						x.up(nas())
					}
					req := request(nas())
					req.Here = here
					for range 100 {
						x.admitted(req, x.n, places...)
						x.pass(time.Second)
					}
					if n := len(x.events.records); n > 25 {
						t.Errorf("%d records of 100 registrations:\n%s", n, strings.Join(x.events.lines()[:30], "\n"))
					}
				})
			})
		}
	}
}

func TestRenames(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.asleep(nas())
		x.register(named(nas(), "tower"))
		for name, want := range map[string]int{"nas": 0, "tower": 1} {
			if got := x.series("nightporter_machine_boot_duration_seconds", name); got != want {
				t.Errorf("%d series of %q, want %d", got, name, want)
			}
		}
		for i := range 9 {
			x.register(named(nas(), fmt.Sprint("name ", i)))
		}
		err := x.admit(admission{Request: request(named(nas(), "one too many")), nic: x.n, fromMachine: true})
		wantRefused(t, err, "name: found")
		x.wantNames("name 8")
		x.pass(time.Hour)
		x.register(named(nas(), "nas"))
		x.wantNames("nas")
	})
}

// A machine that registers on another network leaves nothing on the old one.
func TestMoveToAnotherInterface(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.announced(nas4)
		old, other := x.n, x.again()
		x.admitted(request(nas()), other)
		if e.nic != other || len(e.groups) != 0 {
			t.Errorf("in %d groups after the move", len(e.groups))
		}
		if v := old.reader.View(); v.Address(nas4) != nil || v.Address(nas6) != nil {
			t.Error("still watched on the old interface")
		}
		if owners := x.announced(nas4); !slices.Equal(owners, []ether.MAC{nasMAC}) {
			t.Errorf("announced on the old interface at %v", owners)
		}
		if err := old.link.Load().LeaveSolicitedNode(nas6); err == nil {
			t.Error("still in the solicited-node group on the old interface")
		}
		x.n = other
		x.pass(claimTime)
		x.want(e, machine.Asleep, nas4, nas6)
		x.n = old
		if x.answers(nas4) {
			t.Error("answered for on the old interface")
		}
	})
}

// No client hears OK whose registration would be lost.
func TestRegistrationThatCannotBeStored(t *testing.T) {
	x := newFixture(t, nil)
	x.events.fails = errors.New("no space left on device")
	wantRefused(t, x.porter.synced(t.Context()), "no space left on device")
}

func TestRefusedIsNoted(t *testing.T) {
	x := newFixture(t, nil)
	x.porter.Refused(netip.AddrPortFrom(client4, 5000), nasMAC, "no")
	if e := x.events.last().Event; e.Kind != journal.Refused || e.MAC != nasMAC || e.Reason != "no" || e.Source.Addr() != client4 {
		t.Errorf("noted %+v", e)
	}
}
