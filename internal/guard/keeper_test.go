package guard

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/lab/labtest"
)

// table notes what it has to do, and fails with an error that is set.
type table struct {
	did    []string
	fails  error
	limits string
}

func (t *table) do(what string) error {
	t.did = append(t.did, what)
	return t.fails
}

func (t *table) Hold(ifi string, addrs ...netip.Addr) error {
	return t.do(fmt.Sprint("hold ", ifi, " ", addrs))
}

func (t *table) Release(ifi string, addrs ...netip.Addr) error {
	return t.do(fmt.Sprint("release ", ifi, " ", addrs))
}

func (t *table) Divert(ifi string, ways ...Flow) error {
	return t.do(fmt.Sprint("divert ", ifi, " ", ways))
}

func (t *table) Undivert(ifi string, ways ...Flow) error {
	return t.do(fmt.Sprint("undivert ", ifi, " ", ways))
}

func (t *table) Attach(ifi string) error { return t.do("attach " + ifi) }
func (t *table) Check() error            { return t.do("check") }
func (t *table) Close() error            { return t.do("close") }
func (t *table) Limits() string          { return t.limits }

// A guard that fails is logged once, shown, and tried again when a check is due.
func TestKeeperOfAGuardThatFails(t *testing.T) {
	var k Keeper
	if s := k.Status(); s.Active || s.Reason != "nightporter is starting" {
		t.Errorf("before it is mounted: %+v", s)
	}
	var log bytes.Buffer
	now, g := time.Now(), new(table)
	if err := k.Mount(ModeAuto, func() (Table, error) { return g, nil }, slog.New(slog.NewTextHandler(&log, nil)), now); err != nil {
		t.Fatal(err)
	}
	wantStatus := func(when string, want Status) {
		t.Helper()
		if s := k.Status(); s != want {
			t.Errorf("%s: %+v, want %+v", when, s, want)
		}
	}
	wantStatus("at first", Status{Mode: ModeAuto, Active: true})
	claimed := []netip.Addr{netip.MustParseAddr("10.77.0.20")}
	k.Hold("eth0", claimed)
	g.fails = errors.New("no more room")
	k.Release("eth0", claimed)
	k.Hold("eth0", claimed)
	ways := []Flow{{From: claimed[0], To: netip.MustParseAddr("10.77.0.10")}}
	k.Divert("eth0", ways)
	k.Undivert("eth0", ways)
	k.Attach("eth0")
	wantStatus("while it fails", Status{Mode: ModeAuto, Reason: "no more room"})
	for _, c := range []struct {
		after time.Duration
		due   bool
	}{{CheckInterval - 1, false}, {CheckInterval, true}, {2*CheckInterval - 1, false}} {
		if due := k.Check(now.Add(c.after)); due != c.due {
			t.Errorf("checked after %v: %t", c.after, due)
		}
	}
	if n := strings.Count(log.String(), "the guard fails"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
	g.fails = nil
	if next := k.Next(); !next.Equal(now.Add(2*CheckInterval)) || !k.Check(next) {
		t.Errorf("the next check is at %v", next)
	}
	wantStatus("afterwards", Status{Mode: ModeAuto, Active: true})
	if n := strings.Count(log.String(), "the guard works again"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
	k.Close()
	k.Close()
	wantStatus("closed", Status{Mode: ModeAuto, Reason: "nightporter has stopped"})
	if want := []string{"hold eth0 [10.77.0.20]", "release eth0 [10.77.0.20]", "hold eth0 [10.77.0.20]",
		"divert eth0 [{10.77.0.20 10.77.0.10}]", "undivert eth0 [{10.77.0.20 10.77.0.10}]", "attach eth0", "check", "check", "close"}; !slices.Equal(g.did, want) {
		t.Errorf("did %q, want %q", g.did, want)
	}
}

// What a guard cannot do on its kernel is logged once and shown while it works.
func TestKeeperTellsLimits(t *testing.T) {
	var k Keeper
	var log bytes.Buffer
	g := &table{limits: "no bridges"}
	if err := k.Mount(ModeAuto, func() (Table, error) { return g, nil }, slog.New(slog.NewTextHandler(&log, nil)), time.Now()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "no bridges") {
		t.Errorf("logged:\n%s", &log)
	}
	if s := k.Status(); s != (Status{Mode: ModeAuto, Active: true, Limits: "no bridges"}) {
		t.Errorf("the state is %+v", s)
	}
	g.fails = errors.New("gone")
	k.Attach("eth0")
	if s := k.Status(); s != (Status{Mode: ModeAuto, Reason: "gone"}) {
		t.Errorf("while it fails: %+v", s)
	}
}

// What a start without a guard comes to, in each mode. The lab's porter does
// not forward, unless it is configured to.
func TestMountWithoutNFTables(t *testing.T) {
	missing := errors.New("no nftables")
	for _, c := range []struct {
		mode     string
		forwards bool
		err      error
		level    string
		reason   []string
		needed   bool
	}{
		{ModeAuto, false, nil, "INFO", []string{"no nftables", "safe without it"}, false},
		{ModeAuto, true, nil, "WARN", []string{"no nftables", "forwards packets"}, true},
		{ModeOff, false, nil, "INFO", []string{"off", "safe without it"}, false},
		{ModeOff, true, nil, "WARN", []string{"off", "forwards packets"}, false},
		{ModeOn, false, missing, "", []string{"no nftables"}, true},
		{ModeOn, true, missing, "", []string{"no nftables"}, true},
	} {
		t.Run(fmt.Sprintf("%s forwarding=%t", c.mode, c.forwards), func(t *testing.T) {
			host := labtest.New(t).Porter()
			if c.forwards {
				if err := host.Sysctl("net/ipv6/conf/all/forwarding", "1"); err != nil {
					t.Fatal(err)
				}
			}
			var k Keeper
			var log bytes.Buffer
			err := host.Do(func() error {
				return k.Mount(c.mode, func() (Table, error) { return nil, missing }, slog.New(slog.NewTextHandler(&log, nil)), time.Now())
			})
			if !errors.Is(err, c.err) {
				t.Errorf("%v, want %v", err, c.err)
			}
			if n := strings.Count(log.String(), "level="); c.level == "" && n != 0 || c.level != "" && (n != 1 || !strings.Contains(log.String(), "level="+c.level)) {
				t.Errorf("logged, want one line of level %q:\n%s", c.level, &log)
			}
			got := k.Status()
			for _, w := range c.reason {
				if !strings.Contains(got.Reason, w) {
					t.Errorf("the reason %q lacks %q", got.Reason, w)
				}
			}
			if got.Active || got.Mode != c.mode || !k.Next().IsZero() {
				t.Errorf("the state is %+v, the next round at %v", got, k.Next())
			}
			if err := host.Do(func() error {
				if needed := k.Needed(); needed != c.needed {
					t.Errorf("needed: %t, want %t", needed, c.needed)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			claimed := []netip.Addr{netip.MustParseAddr("10.77.0.20")}
			k.Hold("eth0", claimed) // without a guard nothing happens
			k.Release("eth0", claimed)
			k.Divert("eth0", []Flow{{From: claimed[0], To: claimed[0]}})
			k.Undivert("eth0", []Flow{{From: claimed[0], To: claimed[0]}})
			k.Check(time.Now())
			k.Close()
		})
	}
}
