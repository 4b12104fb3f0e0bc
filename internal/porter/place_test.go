package porter

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/config"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// settle adds a machine as if it had just registered, without an interface that
// could be asked.
func (p *Porter) settle(spec machine.Spec) *entry {
	r := p.add(spec)
	r.nic = &nic{}
	r.target = r.newTarget(spec)
	r.Handle(time.Now(), machine.Registered{Spec: spec})
	return r
}

// know has the configuration say these machines, and no others.
func (p *Porter) know(t testing.TB, specs ...machine.Spec) {
	t.Helper()
	if err := p.configure(specs); err != nil {
		t.Fatal(err)
	}
}

func TestPlace(t *testing.T) {
	named := func(spec machine.Spec, name string) machine.Spec { spec.Name = name; return spec }
	at := func(spec machine.Spec, ip netip.Addr) machine.Spec {
		spec.Monitor = append(spec.Monitor[:len(spec.Monitor):len(spec.Monitor)], machine.Address{IP: ip})
		return spec
	}
	for _, c := range []struct {
		name    string
		prepare func(*testing.T, *Porter)
		spec    machine.Spec
		outcome registration.Outcome
		text    string // that the refusal contains; empty: there is room
	}{
		{name: "the first machine", spec: nas()},
		{name: "itself again", prepare: func(t *testing.T, p *Porter) { p.settle(nas()) }, spec: nas()},
		{name: "itself with another name", prepare: func(t *testing.T, p *Porter) { p.settle(nas()) }, spec: named(nas(), "tower")},
		{name: "another machine", prepare: func(t *testing.T, p *Porter) { p.settle(nas()) }, spec: tv()},
		{
			name: "the name of another", prepare: func(t *testing.T, p *Porter) { p.settle(nas()) }, spec: named(tv(), "nas"),
			outcome: registration.Refused, text: `name: "nas" belongs to ` + nasMAC.String(),
		},
		{
			name: "a name of the configuration", prepare: func(t *testing.T, p *Porter) { p.know(t, nas()) }, spec: named(tv(), "nas"),
			outcome: registration.Refused, text: `name: "nas" belongs to ` + nasMAC.String(),
		},
		{
			name: "an address of a machine that is watched", prepare: func(t *testing.T, p *Porter) { p.settle(nas()) }, spec: at(tv(), nas6),
			outcome: registration.Refused, text: `fd77::20 belongs to "nas" (` + nasMAC.String() + "), which is settling",
		},
		{
			// It has the address no more, or the machine would not have answered for it.
			name: "an address of a machine that is awake", spec: at(tv(), nas6),
			prepare: func(t *testing.T, p *Porter) {
				r := p.settle(nas())
				r.Machine = machine.New(nas(), p.policy(), time.Now())
			},
		},
		{
			name: "an address that was left to it", spec: at(tv(), nas6),
			prepare: func(t *testing.T, p *Porter) {
				p.settle(nas()).Handle(time.Now(), machine.Conflicted{Addr: nas6, By: tvMAC})
			},
		},
		{name: "an address that is configured but was never registered", prepare: func(t *testing.T, p *Porter) { p.know(t, nas()) }, spec: at(tv(), nas4)},
		{
			name: "one machine too many", spec: tv(),
			prepare: func(t *testing.T, p *Porter) { p.settle(nas()); p.conf.Registration.MaxMachines = 1 },
			outcome: registration.Limited, text: "no room: 1 machines are registered (registration.max_machines)",
		},
		{
			name: "itself again in a full house", spec: nas(),
			prepare: func(t *testing.T, p *Porter) { p.settle(nas()); p.conf.Registration.MaxMachines = 1 },
		},
		{
			name: "a configured machine in a full house", spec: nas(),
			prepare: func(t *testing.T, p *Porter) { p.know(t, nas()); p.conf.Registration.MaxMachines = 1 },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := vacant(t, nil)
			if c.prepare != nil {
				c.prepare(t, p)
			}
			err := p.place(registration.Request{Spec: c.spec})
			var refusal *registration.Refusal
			switch {
			case c.text == "":
				if err != nil {
					t.Errorf("refused: %v", err)
				}
			case !errors.As(err, &refusal):
				t.Errorf("%v, want a refusal", err)
			case refusal.Outcome != c.outcome || !strings.Contains(refusal.Text, c.text):
				t.Errorf("%v: %s; want %v: %s", refusal.Outcome, refusal.Text, c.outcome, c.text)
			}
		})
	}
}

func TestComplete(t *testing.T) {
	conf := machine.Spec{
		Name: "tower", MAC: nasMAC, Monitor: []machine.Address{{IP: nas4, Ports: []machine.Port{ssh}}},
		IdleWatts: 80, SleepWatts: 3, Unwatched: true, Password: []byte{1, 2, 3, 4}, WakeFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	said := registration.Request{
		Spec: machine.Spec{
			Name: "nas", MAC: nasMAC, Monitor: []machine.Address{{IP: nas6}}, IdleWatts: 10, SleepWatts: 1,
			Password: []byte{9, 9, 9, 9}, WakeFrom: []netip.Prefix{netip.MustParsePrefix("::/0")},
		},
		HasName: true, HasMonitor: true, HasIdleWatts: true, HasSleepWatts: true, HasPassword: true, HasWakeFrom: true,
	}
	mac := registration.Request{Spec: machine.Spec{MAC: nasMAC, IdleWatts: 50, SleepWatts: 2}} // with the defaults of energy
	for _, c := range []struct {
		name    string
		prepare func(*testing.T, *Porter)
		req     registration.Request
		want    machine.Spec
	}{
		{"a stranger gets its MAC for a name", nil, mac, machine.Spec{Name: nasMAC.String(), MAC: nasMAC, IdleWatts: 50, SleepWatts: 2}},
		{"a stranger that says everything", nil, said, said.Spec},
		{"the configuration fills in everything", func(t *testing.T, p *Porter) { p.know(t, conf) }, mac, conf},
		{"the configuration changes nothing that was said", func(t *testing.T, p *Porter) { p.know(t, conf) }, said, unwatched(said.Spec)},
		{
			"a machine keeps the name that it said before", func(_ *testing.T, p *Porter) { p.settle(nas()) },
			mac, machine.Spec{Name: "nas", MAC: nasMAC, IdleWatts: 50, SleepWatts: 2},
		},
		{
			"... unless the configuration has one", func(t *testing.T, p *Porter) { p.settle(nas()); p.know(t, conf) },
			mac, conf,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := vacant(t, nil)
			if c.prepare != nil {
				c.prepare(t, p)
			}
			req := c.req
			p.complete(&req)
			if diff := cmp.Diff(c.want, req.Spec, comparable); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

// unwatched is what only the configuration can say.
func unwatched(spec machine.Spec) machine.Spec {
	spec.Unwatched = true
	return spec
}

// comparable lets cmp look at addresses.
var comparable = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}

func TestPolicyFollowsTheConfiguration(t *testing.T) {
	p, _ := vacant(t, nil)
	p.conf.Probe = config.Probe{Interval: 1, Misses: 2, Timeout: 3}
	p.conf.Wake = config.Wake{Attempts: 4, Interval: 5, Keep: true, Holdoff: 6}
	p.conf.Hold.ReadyTimeout = 7
	want := machine.Policy{ProbeInterval: 1, ProbeMisses: 2, ProbeTimeout: 3, WakeAttempts: 4, WakeInterval: 5, Keep: true, Holdoff: 6, ReadyTimeout: 7, Porter: p.number()}
	if diff := cmp.Diff(want, p.policy()); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	p.conf.Registration.Trust = "nonsense"
	p.setTrust(p.conf)
	if got := p.trust.Load().Trust; got != registration.Self {
		t.Errorf("a trust that is none became %v, want the strictest", got)
	}
}
