package porter

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"nightporter/internal/config"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
)

// An interface that is not there is waited for, alone or beside another, and so is one
// without an address. Where none can ever be opened there is no start.
func TestOpenInterfaces(t *testing.T) {
	host := labtest.New(t).Porter()
	for _, c := range []struct {
		name, fails string
		names       []string
		prepare     func() error
	}{
		{name: "all are missing", names: []string{"eth7", "eth8"}},
		{name: "none is Ethernet", names: []string{"lo"}, fails: "not Ethernet"},
		{name: "one is missing", names: []string{"eth7", lab.Interface}},
		{name: "the default route's"},
		{name: "the only one has no address", names: []string{lab.Interface}, prepare: func() error {
			addrs, err := host.AddrsNow()
			for _, p := range addrs {
				err = errors.Join(err, host.DelAddr(p))
			}
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.prepare != nil {
				if err := c.prepare(); err != nil {
					t.Fatal(err)
				}
			}
			x := newFixture(t, func(conf *config.Config) { conf.Interfaces = c.names })
			defer x.porter.Close()
			err := host.Do(func() error { return x.interfaces.open(x.conf) })
			switch {
			case c.fails == "" && err != nil:
				t.Error(err)
			case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
				t.Errorf("%v, want an error about %s", err, c.fails)
			case c.fails != "":
				return
			}
			for _, n := range x.nics {
				there := n.name == lab.Interface && c.prepare == nil
				if out := n.unavailable(); (out == nil) != there || !there && x.next().IsZero() {
					t.Errorf("%s is out: %v", n.name, out)
				}
			}
		})
	}
}

func TestPorterNumber(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		one := x.interfaces.identity()
		x.again()
		if two := x.interfaces.identity(); two == one || slices.Contains([]uint64{0, one}, two) {
			t.Errorf("%d with one interface, %d with two", one, two)
		}
	})
}
