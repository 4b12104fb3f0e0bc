package porter

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// registers has a machine register at the porter, whose loop runs, from its first
// address.
func (x *fixture) registers(req registration.Request) error {
	x.Helper()
	from := req.Monitor[0].IP
	if err := lan.SetNeighbor(x.n.Index(), from, req.MAC); err != nil {
		x.Fatal(err)
	}
	return x.porter.Register(x.Context(), req, registration.Peer{Addr: netip.AddrPortFrom(from, 5000)})
}

// A machine registers itself, and only what it answers for. An address that is
// nowhere at present does not spoil the others.
func TestRegisterItself(t *testing.T) {
	onLab(t, nil, func(x *fixture) {
		defer x.serve()()
		up := x.up(nas())
		if err := x.registers(request(at(nas(), nas4, far4, nas6))); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, x.registers(request(at(nas(), far4))), "which is not in a network of the porter's interface")
		wantRefused(t, x.registers(request(at(tv(), tv4))), "no host answers for 10.77.0.30")
		thief := request(at(tv(), tv4, nas6))
		x.up(tv())
		wantRefused(t, x.registers(thief), nasMAC.String()+" answers for fd77::20")
		x.down(up)
		time.Sleep(5 * time.Second)
		s := x.porter.Machines()[0]
		want := []machine.Standing{machine.Claimed, machine.Waiting, machine.Claimed}
		for i, a := range s.Addresses {
			if a.Standing != want[i] {
				t.Errorf("%v is %v, want %v", a.IP, a.Standing, want[i])
			}
		}
	})
}

// A new card in a machine takes over its name, and what is known of it.
func TestNewCard(t *testing.T) {
	newCard := at(nas(), nas4)
	newCard.MAC = strangerMAC
	for _, c := range []struct {
		name    string
		prepare func(*fixture)
		during  func(*fixture) // while the loop runs
		refused string
		another bool // it is another machine
	}{
		{name: "the old one is gone"},
		{
			name: "the new one is known under its MAC",
			prepare: func(x *fixture) {
				spec := at(named(tv(), strangerMAC.String()), unused4)
				spec.MAC = strangerMAC
				x.register(spec)
			},
		},
		{name: "the old one answers", during: func(x *fixture) { x.up(at(nas(), nas6)) }, another: true},
		{name: "the configuration names the old one", prepare: func(x *fixture) { x.configured(nas()) }, refused: `which the configuration gives to "nas"`},
		{name: "it proves another address", another: true, prepare: func(x *fixture) {
			x.register(at(nas(), unused4, nas6))
			x.pass(claimTime)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onLab(t, func(c *config.Config) { c.Watch.Interval = 0 }, func(x *fixture) {
				e := x.asleep(nas())
				x.pass(time.Hour)
				up := x.up(nas())
				x.hear(arpUse(nasMAC, nas4))
				x.pass(30 * time.Second)
				x.want(e, machine.Awake)
				x.down(up)
				if c.prepare != nil {
					c.prepare(x)
				}
				records := len(x.events.records)
				stop := x.serve()
				x.up(newCard)
				if c.during != nil {
					c.during(x)
				}
				err := x.registers(request(newCard))
				stop()
				switch {
				case c.refused != "":
					wantRefused(t, err, c.refused)
				case err != nil:
					t.Fatal(err)
				case c.another:
					x.wantNames("nas", "nas-2")
				default:
					wantReplaced(x, newCard, x.events.records[records:])
				}
			})
		})
	}
}

// wantReplaced fails the test unless a new card has the name of the old one, and
// what was known of it.
func wantReplaced(x *fixture, newCard machine.Spec, since []journal.Record) {
	x.Helper()
	x.wantNames("nas")
	if s := x.machine(newCard).Status(); s.Slept(time.Now()) < time.Hour || s.Tally.ExternalStarts != 1 || s.State != machine.Settling {
		x.Errorf("it is %v, and has slept %v, %d starts", s.State, s.Slept(time.Now()), s.Tally.ExternalStarts)
	}
	i := slices.IndexFunc(since, func(r journal.Record) bool { return r.Event.Kind == journal.CardReplaced })
	if i < 0 {
		x.Fatalf("history %q", x.events.lines())
	}
	if r := since[i]; r.Forgotten != nasMAC || r.Event.MAC != strangerMAC || r.Event.By != nasMAC.String() {
		x.Errorf("noted %+v", r)
	}
	if x.series("nightporter_machine_boot_duration_seconds", "nas") != 1 {
		x.Error("the series of the name are gone")
	}
}

// A machine that we answer for keeps its name.
func TestNewCardOfAMachineThatSleeps(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.asleep(nas())
		newCard := at(nas(), nas4)
		newCard.MAC = strangerMAC
		verdict := registration.Verdict{Places: []registration.Place{{IP: nas4}}}
		if spec := x.machines.replaceable(request(newCard), verdict); spec.MAC != (ether.MAC{}) {
			t.Error("a machine that sleeps loses its name")
		}
	})
}

// What the configuration says of the new card holds on.
func TestNewCardThatIsConfigured(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		spec := at(named(tv(), "configured"), tv4)
		x.configured(spec)
		x.up(nas())
		req := request(nas())
		req.Here = true
		x.admitted(req, x.n)
		newCard := nas()
		newCard.MAC = tvMAC
		if err := x.admit(admission{Request: request(newCard), nic: x.n, fromMachine: true, replaced: nasMAC}); err != nil {
			t.Fatal(err)
		}
		x.wantNames("nas")
		if e := x.machine(newCard); e.configured == nil || e.configured.Name != "configured" {
			t.Errorf("configured as %v", e.configured)
		}
	})
}
