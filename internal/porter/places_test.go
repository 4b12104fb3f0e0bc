package porter

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// wantWaits fails the test unless the address waits, for this reason.
func (x *fixture) wantWaits(e *entry, ip netip.Addr, reason string) {
	x.Helper()
	for _, a := range e.Status().Addresses {
		if a.IP == ip && (a.Standing != machine.Waiting || !strings.Contains(a.Reason, reason)) {
			x.Errorf("%v is %v, %q; want it to wait: %q", ip, a.Standing, a.Reason, reason)
		}
	}
}

// Nothing of what may not be claimed is. That is logged once, for each address, and
// the others of the machine are claimed.
func TestAddressWithoutAPlace(t *testing.T) {
	for _, c := range []struct{ name, says, ip string }{
		{"elsewhere", "it is not in a network of the porter's interface", "192.0.2.1"},
		{"our own address", "it is an address of the porter's own host", "10.77.0.2"},
		{"the gateway", "it is a gateway's address", "10.77.0.1"},
		{"broadcast", "it is a broadcast or network address", "10.77.0.255"},
		{"another machine's address", `it belongs to \"tv\" (` + tvMAC.String() + ") already", "10.77.0.30"},
	} {
		t.Run(c.name, func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				x.asleep(tv())
				ip, claimed := netip.MustParseAddr(c.ip), tv4 // that is answered for in any case
				spec := at(agentless(), ip, nas4)
				x.configured(spec)
				e := x.machine(spec)
				x.place()
				x.pass(10 * time.Minute)
				x.want(e, machine.Asleep, nas4, claimed)
				x.wantWaits(e, ip, strings.ReplaceAll(c.says, `\"`, `"`))
				if n := x.logged("address cannot be claimed"); n != 1 || x.logged(c.says) != 1 {
					t.Errorf("said %d times, want once with %q:\n%s", n, c.says, &x.output)
				}
			})
		})
	}
}

// A machine of which nothing can be claimed is not watched, and can be woken.
func TestMachineWithoutAPlace(t *testing.T) {
	for _, c := range []struct {
		name, says string
		spec       func(*fixture) machine.Spec
	}{
		{"our own card", "the MAC is that of an interface of this host", func(x *fixture) machine.Spec { s := agentless(); s.MAC = x.n.MAC(); return s }},
		{"any network", "it is in no network of eth0 or eth0", func(x *fixture) machine.Spec {
			x.again()
			return at(agentless(), netip.MustParseAddr("fe80::20"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				spec := c.spec(x)
				x.configured(spec)
				e := x.machine(spec)
				x.pass(time.Minute)
				x.dispatch(e, machine.WakeRequested{Trigger: machine.ByAPI, By: "test"}) // the magic packet goes everywhere
				x.pass(time.Minute)
				if e.State() != machine.Awake || e.Status().Tally.Attempts != 0 || x.logged("magic packet sent") != 1 {
					t.Errorf("it is %v, with %d attempts and %d magic packets", e.State(), e.Status().Tally.Attempts, x.logged("magic packet sent"))
				}
				x.wantWaits(e, spec.Monitor[0].IP, c.says)
				if x.logged("cannot probe") != 0 {
					t.Errorf("it was asked:\n%s", &x.output)
				}
			})
		})
	}
}

// asleepAt lets a machine register with what is known of its addresses, and fall
// silent.
func (x *fixture) asleepAt(req registration.Request, places ...machine.Place) *entry {
	x.Helper()
	x.admitted(req, x.n, places...)
	x.pass(claimTime)
	return x.machine(req.Spec)
}

// setAddrs has the host's interface have exactly these addresses, and the porter
// hear of it.
func (x *fixture) setAddrs(want ...string) {
	x.Helper()
	has, err := x.host.AddrsNow()
	if err != nil {
		x.Fatal(err)
	}
	var wanted []netip.Prefix
	for _, s := range want {
		wanted = append(wanted, netip.MustParsePrefix(s))
	}
	change := lan.Change{}
	for _, p := range has {
		if !p.Addr().IsLinkLocalUnicast() && !slices.Contains(wanted, p) {
			change.AddrLost = true
			if err := x.host.DelAddr(p); err != nil {
				x.Fatal(err)
			}
		}
	}
	for _, p := range wanted {
		if !slices.Contains(has, p) {
			if err := x.host.AddAddr(x.Context(), p); err != nil {
				x.Fatal(err)
			}
		}
	}
	linkKeeper{x.loop}.linksChanged(lan.Changes{Of: map[int]lan.Change{x.n.Index(): change}})
	x.turn()
}

// onLab runs f on a host of its own, which it may change.
func onLab(t *testing.T, set func(*config.Config), f func(*fixture)) {
	t.Helper()
	withLoopOn(t, labtest.New(t).Porter(), func(c *config.Config) {
		c.Interfaces = []string{lab.Interface}
		if set != nil {
			set(c)
		}
	}, f)
}

// A claim outlives a gap of its network, and ends when that is gone for good. It is
// made again when the network is back.
func TestClaimOutlivesAGapOfItsNetwork(t *testing.T) {
	onLab(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.setAddrs("fd77::2/64")
		x.pass(30 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		x.setAddrs("10.77.0.2/24", "fd77::2/64")
		x.pass(5 * time.Minute)
		x.want(e, machine.Asleep, nas4, nas6)

		x.setAddrs("fd77::2/64")
		x.pass(61 * time.Second)
		x.want(e, machine.Asleep, nas6)
		x.wantWaits(e, nas4, "it is not in a network of the porter's interface")
		x.setAddrs("10.77.0.2/24", "fd77::2/64")
		x.pass(2 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		if x.logged("address can be claimed") == 0 {
			t.Errorf("the log:\n%s", &x.output)
		}
	})
}

// What our own host uses, or what has become a gateway, is released at once.
func TestForbiddenEndsAClaim(t *testing.T) {
	onLab(t, nil, func(x *fixture) {
		g := x.guarded()
		e := x.asleep(nas())
		x.setAddrs("10.77.0.2/24", "10.77.0.20/24", "fd77::2/64")
		x.want(e, machine.Asleep, nas6)
		if g.held[nas4] || !g.held[nas6] {
			t.Errorf("guarded %v", g.held)
		}
		x.pass(time.Minute)
		x.want(e, machine.Asleep, nas6)
		x.setAddrs("10.77.0.2/24", "fd77::2/64")
		x.pass(2 * time.Minute)
		x.want(e, machine.Asleep, nas4, nas6)
	})
}

// An IPv6 address in none of our prefixes may be on the link all the same: the
// machine itself proves it by an answer to a question from our link-local address.
func TestUnprovedWithoutAPrefix(t *testing.T) {
	onLab(t, nil, func(x *fixture) {
		x.setAddrs("10.77.0.2/24")
		for !slices.ContainsFunc(x.n.ownAddresses(), netip.Addr.IsLinkLocalUnicast) { // the kernel tests it
			x.setAddrs("10.77.0.2/24")
		}
		x.configured(agentless())
		e := x.machine(nas())
		x.wantWaits(e, nas6, "the machine has not answered for it yet")
		x.pass(time.Minute)
		x.want(e, machine.Asleep, nas4)
		up := x.up(nas())
		x.hear(arpUse(nasMAC, nas4))
		x.pass(time.Minute)
		x.want(e, machine.Awake)
		x.down(up)
		x.pass(time.Minute)
		x.want(e, machine.Asleep, nas4, nas6)
	})
}

// A machine is looked for on the interface in whose network its addresses are. One
// interface that is not there is waited for beside another.
func TestTwoInterfaces(t *testing.T) {
	onRouter := func(t *testing.T, names []string, f func(*fixture)) {
		t.Helper()
		withLoopOn(t, labtest.New(t).Router(), func(c *config.Config) { c.Interfaces = names }, f)
	}
	behind := at(named(agentless(), "behind"), netip.MustParseAddr("10.78.0.20"))
	behind.MAC = tvMAC
	t.Run("both are there", func(t *testing.T) {
		onRouter(t, []string{"eth0", "eth1"}, func(x *fixture) {
			x.configured(agentless(), behind)
			x.pass(time.Minute)
			for _, e := range x.machines.sorted() {
				if e.State() != machine.Asleep {
					t.Errorf("%s is %v", e.name(), e.State())
				}
			}
			if got := x.machine(behind).nic.name + x.machine(nas()).nic.name; got != "eth1eth0" {
				t.Errorf("looked for at %s", got)
			}
		})
	})
	t.Run("one is not there at the start", func(t *testing.T) {
		onRouter(t, []string{"eth0", "eth7"}, func(x *fixture) {
			other := at(agentless(), netip.MustParseAddr("10.99.0.20"))
			other.MAC, other.Name = strangerMAC, "other"
			x.configured(agentless(), other)
			x.pass(time.Minute)
			x.want(x.machine(nas()), machine.Asleep, nas4, nas6)
			x.wantWaits(x.machine(other), other.Monitor[0].IP, "it is in no network of eth0 or eth7")
			if err := x.nics[1].unavailable(); err == nil || x.nics[0].unavailable() != nil {
				t.Errorf("out: %v, %v", x.nics[0].unavailable(), err)
			}
		})
	})
}
