package porter

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

func TestFindRoom(t *testing.T) {
	registered := func(x *fixture) { x.register(nas()) }
	configured := func(x *fixture) { x.configured(nas()) }
	full := func(x *fixture) { x.conf.Registration.MaxMachines = 1 }
	with := func(ip netip.Addr) machine.Spec { return at(tv(), tv4, ip) }
	awake := func(x *fixture) {
		x.up(nas())
		req := request(nas())
		req.Here = true
		x.admitted(req, x.n)
	}
	for _, c := range []struct {
		name    string
		prepare []func(*fixture)
		spec    machine.Spec
		limited bool
		text    string // that the refusal contains; empty: there is room
	}{
		{name: "the first machine", spec: nas()},
		{name: "itself again", prepare: []func(*fixture){registered}, spec: nas()},
		{name: "itself with another name", prepare: []func(*fixture){registered}, spec: named(nas(), "tower")},
		{name: "another machine", prepare: []func(*fixture){registered}, spec: tv()},
		{name: "the name of another", prepare: []func(*fixture){registered}, spec: named(tv(), "nas")},
		{
			name: "an address of a machine that settles", prepare: []func(*fixture){registered}, spec: with(nas6),
			text: `fd77::20 belongs to "nas" (` + nasMAC.String() + "), which is settling",
		},
		{name: "an address that a machine that is up has no more", prepare: []func(*fixture){awake}, spec: with(nas6)},
		{
			name: "an address of a machine that is up, without a proof", spec: with(nas6), text: `fd77::20 belongs to "nas" (` + nasMAC.String() + "), which is awake",
			prepare: []func(*fixture){awake, func(x *fixture) { x.conf.Registration.Trust = config.TrustOpen }},
		},
		{
			name: "an address of a machine that does not register, without a proof", spec: with(nas6), text: `fd77::20 belongs to "nas" (` + nasMAC.String() + "), which is awake",
			prepare: []func(*fixture){func(x *fixture) { x.configured(agentless()); x.conf.Registration.Trust = config.TrustOpen }},
		},
		{
			name: "an address that was left to it", spec: with(nas6),
			prepare: []func(*fixture){registered, func(x *fixture) { x.dispatch(x.machine(nas()), machine.Conflicted{Addr: nas6, By: tvMAC}) }},
		},
		{name: "an address that is configured but was never registered", prepare: []func(*fixture){configured}, spec: with(nas4)},
		{
			name: "one machine too many", spec: tv(), limited: true, prepare: []func(*fixture){registered, full},
			text: "no room: 1 machines are registered (registration.max_machines)",
		},
		{name: "itself again where there is no room", prepare: []func(*fixture){registered, full}, spec: nas()},
		{name: "a configured machine where there is no room", prepare: []func(*fixture){configured, full}, spec: nas()},
	} {
		t.Run(c.name, func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				for _, prepare := range c.prepare {
					prepare(x)
				}
				wantRoom(x, c.spec, c.limited, c.text)
			})
		})
	}
}

// wantRoom fails the test unless there is room for a machine, or it is refused with
// this text.
func wantRoom(x *fixture, spec machine.Spec, limited bool, text string) {
	x.Helper()
	var proved []netip.Addr
	if x.conf.Registration.Trust == config.TrustSelf {
		proved = spec.Addrs()
	}
	err := x.machines.checkRoom(request(spec), proved, ether.MAC{}, x.conf.Registration.MaxMachines)
	var refusal *registration.Refusal
	switch {
	case text == "":
		if err != nil {
			x.Errorf("refused: %v", err)
		}
	case !errors.As(err, &refusal):
		x.Errorf("%v, want a refusal", err)
	case (refusal.Outcome == registration.Limited) != limited || !strings.Contains(refusal.Text, text):
		x.Errorf("%v: %s; want %s", refusal.Outcome, refusal.Text, text)
	}
}

func TestComplete(t *testing.T) {
	conf := machine.Spec{
		Name: "tower", MAC: nasMAC, Monitor: []machine.Address{{IP: nas4, Ports: []machine.Port{ssh}}},
		IdleWatts: 80, SleepWatts: 3, Unwatched: true, Password: []byte{1, 2, 3, 4}, WakeFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	said := request(machine.Spec{
		Name: "nas", MAC: nasMAC, Monitor: []machine.Address{{IP: nas6}}, IdleWatts: 10, SleepWatts: 1,
		Password: []byte{9, 9, 9, 9}, WakeFrom: []netip.Prefix{netip.MustParsePrefix("::/0")},
	})
	unwatched := said.Spec
	unwatched.Unwatched = true                                                                 // the configuration alone can say so
	mac := registration.Request{Spec: machine.Spec{MAC: nasMAC, IdleWatts: 50, SleepWatts: 2}} // with the defaults of energy
	for _, c := range []struct {
		name       string
		registered bool
		configured bool
		req        registration.Request
		want       machine.Spec
	}{
		{name: "an unknown machine gets its MAC for a name", req: mac, want: machine.Spec{Name: nasMAC.String(), MAC: nasMAC, IdleWatts: 50, SleepWatts: 2}},
		{name: "an unknown machine that says everything", req: said, want: said.Spec},
		{name: "the configuration fills in everything", configured: true, req: mac, want: conf},
		{name: "the configuration changes nothing that was said", configured: true, req: said, want: unwatched},
		{name: "a machine keeps the name that it said before", registered: true, req: mac, want: machine.Spec{Name: "nas", MAC: nasMAC, IdleWatts: 50, SleepWatts: 2}},
		{name: "... unless the configuration has one", registered: true, configured: true, req: mac, want: conf},
	} {
		t.Run(c.name, func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				if c.registered {
					x.register(nas())
				}
				if c.configured {
					x.configured(conf)
				}
				req := c.req
				if _, got := x.machines.complete(&req); got != c.configured {
					t.Errorf("the configuration knows it: %t", got)
				}
				if diff := cmp.Diff(c.want, req.Spec, byValue); diff != "" {
					t.Errorf("request (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestProtect(t *testing.T) {
	conf := nas()
	conf.Password, conf.WakeFrom = []byte{1, 2, 3, 4}, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	changed := func(change func(*machine.Spec)) machine.Spec {
		spec := conf
		change(&spec)
		return spec
	}
	elsewhere := changed(func(s *machine.Spec) { s.Monitor = []machine.Address{{IP: unused4}} })
	for _, c := range []struct {
		name   string
		spec   machine.Spec
		itself bool
		text   string // that the refusal contains; empty: none
	}{
		{name: "as configured, by another", spec: conf},
		{name: "another name, by another", spec: named(conf, "thief"), text: `name: found "thief": expected "nas"`},
		{name: "another name, by itself", spec: named(conf, "tower"), itself: true},
		{name: "other addresses, by another", spec: elsewhere, text: "monitor[0].ip: found 10.77.0.99: expected one of 10.77.0.20, fd77::20"},
		{name: "other addresses, by itself", spec: elsewhere, itself: true},
		{name: "another password, by another", spec: changed(func(s *machine.Spec) { s.Password = []byte{0, 0, 0, 0} }), text: "password: "},
		{name: "every client may wake it, by another", spec: changed(func(s *machine.Spec) { s.WakeFrom = nil }), text: "wake_from: found no 10.0.0.0/8"},
		{name: "another machine", spec: tv(), itself: true},
		{name: "its address under another MAC", spec: at(tv(), nas4), itself: true, text: `monitor[0].ip: found 10.77.0.20, which the configuration gives to "nas"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newFixture(t, nil)
			if err := x.configure([]machine.Spec{conf}); err != nil {
				t.Fatal(err)
			}
			err := x.machines.protect(request(c.spec), c.itself)
			if c.text != "" {
				wantRefused(t, err, c.text)
			} else if err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
	t.Run("what a machine said itself is not the configuration's", func(t *testing.T) {
		withLoop(t, func(c *config.Config) { c.Registration.Trust = config.TrustOpen }, func(x *fixture) {
			x.register(nas())
			if err := x.machines.protect(request(named(nas(), "tower")), false); err != nil {
				t.Error(err)
			}
		})
	})
}

// What the configuration says holds under every trust, unless the machine says
// otherwise itself.
func TestProtected(t *testing.T) {
	for _, trust := range []string{config.TrustOpen, config.TrustAllowlist, config.TrustSelf} {
		withLoop(t, func(c *config.Config) { c.Registration.Trust = trust }, func(x *fixture) {
			x.configured(nas())
			for _, itself := range []bool{false, true} {
				err := x.admit(admission{Request: request(named(nas(), "tower")), nic: x.n, fromMachine: itself})
				if refused := err != nil; refused == itself {
					t.Errorf("trust %s, itself: %t: %v", trust, itself, err)
				}
			}
		})
	}
}

// A client without settings keeps those of the configuration; one that
// sets its own has them.
func TestRegistrationKeepsTheSettingsOfTheConfiguration(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		conf, slow := nas(), machine.Settings{ReadyTimeout: 3 * time.Minute}
		conf.Monitor[0].Set([]machine.Port{ssh}, slow)
		x.configured(conf)
		at := machine.Service{Addr: nas4, Port: ssh}
		own := nas()
		own.Monitor[0].Set([]machine.Port{ssh}, machine.Settings{ReadyTimeout: time.Minute})
		for _, c := range []struct {
			spec machine.Spec
			want time.Duration
		}{{nas(), 3 * time.Minute}, {own, time.Minute}} {
			req := request(c.spec)
			x.machines.complete(&req)
			if got, has := req.Spec.ReadyTimeout(at); !has || got != c.want {
				t.Errorf("ready timeout %v, want %v", got, c.want)
			}
		}
	})
}

// A machine that sleeps is redefined only by itself, even if others may register it; an event
// tells that. What it said may be said again.
func TestRedefinedInItsSleep(t *testing.T) {
	for _, trust := range []string{config.TrustOpen, config.TrustAllowlist, config.TrustSelf} {
		withLoop(t, func(c *config.Config) { c.Registration.Trust = trust }, func(x *fixture) {
			x.asleep(nas())
			redefined := at(nas(), nas4)
			wantRefused(t, x.admit(admission{Request: request(redefined), nic: x.n}), "this machine sleeps, and only "+nasMAC.String()+" itself may change that")
			if err := x.admit(admission{Request: request(nas()), nic: x.n}); err != nil {
				t.Errorf("trust %s, the same again: %v", trust, err)
			}
			x.asleep(nas())
			told := func() (count int) {
				for _, r := range x.events.records {
					if r.Event.Kind == journal.Redefined {
						count++
					}
				}
				return count
			}
			if got := told(); got != 0 {
				t.Errorf("trust %s: %d redefinitions are reported", trust, got)
			}
			if err := x.admit(admission{Request: request(redefined), nic: x.n, fromMachine: true}); err != nil {
				t.Errorf("trust %s, by itself: %v", trust, err)
			}
			if got := told(); got != 1 {
				t.Errorf("trust %s: %d redefinitions are reported, want 1", trust, got)
			}
		})
	}
}
