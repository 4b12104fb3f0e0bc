package porter

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

func TestProtect(t *testing.T) {
	conf := nas()
	conf.Password, conf.WakeFrom = []byte{1, 2, 3, 4}, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	changed := func(change func(*machine.Spec)) machine.Spec {
		spec := conf
		change(&spec)
		return spec
	}
	stolen := tv()
	stolen.Monitor = []machine.Address{{IP: nas4}}
	for _, c := range []struct {
		name   string
		spec   machine.Spec
		itself bool
		text   string // that the refusal contains; empty: none
	}{
		{name: "as configured, by another", spec: conf},
		{name: "another name, by another", spec: changed(func(s *machine.Spec) { s.Name = "thief" }), text: `name: found "thief": expected "nas"`},
		{name: "another name, by itself", spec: changed(func(s *machine.Spec) { s.Name = "tower" }), itself: true},
		{
			name: "other addresses, by another", spec: changed(func(s *machine.Spec) { s.Monitor = []machine.Address{{IP: nobody4}} }),
			text: "monitor[0].ip: found 10.77.0.99: expected one of 10.77.0.20, fd77::20",
		},
		{name: "other addresses, by itself", spec: changed(func(s *machine.Spec) { s.Monitor = []machine.Address{{IP: nobody4}} }), itself: true},
		{name: "another password, by another", spec: changed(func(s *machine.Spec) { s.Password = []byte{0, 0, 0, 0} }), text: "password: "},
		{name: "everybody may wake it, by another", spec: changed(func(s *machine.Spec) { s.WakeFrom = nil }), text: "wake_from: found no 10.0.0.0/8"},
		{name: "another machine", spec: tv(), itself: true},
		{name: "its address under another MAC", spec: stolen, itself: true, text: `monitor[0].ip: found 10.77.0.20, which the configuration gives to "nas"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := vacant(t, nil)
			p.know(t, conf)
			err := p.protect(registration.Request{Spec: c.spec}, c.itself)
			var refusal *registration.Refusal
			switch {
			case c.text == "":
				if err != nil {
					t.Errorf("refused: %v", err)
				}
			case !errors.As(err, &refusal) || refusal.Outcome != registration.Refused || !strings.Contains(refusal.Text, c.text):
				t.Errorf("%v; want a refusal with %s", err, c.text)
			}
		})
	}
	t.Run("what a machine said itself is not the configuration's", func(t *testing.T) {
		p, _ := vacant(t, nil)
		p.settle(nas())
		if err := p.protect(registration.Request{Spec: changed(func(s *machine.Spec) { s.Name = "tower" })}, false); err != nil {
			t.Error(err)
		}
	})
}
