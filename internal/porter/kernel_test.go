package porter

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/guard"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// fakeGuard records its calls, and fails if the test says so.
type fakeGuard struct {
	held      map[netip.Addr]bool
	ways      []guard.Flow
	did       []string
	fails     error
	closed    int
	meanwhile func() // what happens while the kernel takes its time
}

func (g *fakeGuard) Hold(ifi string, addrs ...netip.Addr) error {
	if f := g.meanwhile; f != nil {
		g.meanwhile = nil
		f()
	}
	for _, ip := range addrs {
		g.held[ip] = true
	}
	g.did = append(g.did, fmt.Sprint("hold ", ifi, " ", addrs))
	return g.fails
}

func (g *fakeGuard) Release(ifi string, addrs ...netip.Addr) error {
	for _, ip := range addrs {
		delete(g.held, ip)
		g.did = append(g.did, fmt.Sprint("release ", ifi, " ", ip))
	}
	return g.fails
}

func (g *fakeGuard) Divert(_ string, ways ...guard.Flow) error {
	g.ways = append(g.ways, ways...)
	return g.fails
}

func (g *fakeGuard) Undivert(_ string, ways ...guard.Flow) error {
	g.ways = slices.DeleteFunc(g.ways, func(w guard.Flow) bool { return slices.Contains(ways, w) })
	return g.fails
}

func (g *fakeGuard) Attach(ifi string) error {
	g.did = append(g.did, "attach "+ifi)
	return g.fails
}

func (g *fakeGuard) Limits() string { return "" }

func (g *fakeGuard) Check() error {
	g.did = append(g.did, "check")
	return g.fails
}

func (g *fakeGuard) Close() error {
	g.closed++
	return g.fails
}

// guarded gives the porter a guard.
func (x *fixture) guarded() *fakeGuard {
	x.Helper()
	g := &fakeGuard{held: make(map[netip.Addr]bool)}
	if err := x.kernel.guard.Mount(guard.ModeAuto, func() (guard.Table, error) { return g, nil }, x.loop.log, time.Now()); err != nil {
		x.Fatal(err)
	}
	return g
}

// fakeBinder stands for the addresses of the first interface.
func (x *fixture) fakeBinder() (bound map[netip.Addr]bool, fails *error) {
	bound, fails = make(map[netip.Addr]bool), new(error)
	x.n.binder.Add = func(ips ...netip.Addr) error {
		for _, ip := range ips {
			if *fails == nil {
				bound[ip] = true
			}
		}
		return *fails
	}
	x.n.binder.Remove = func(ips ...netip.Addr) error {
		maps.DeleteFunc(bound, func(ip netip.Addr, _ bool) bool { return *fails == nil && slices.Contains(ips, ip) })
		return *fails
	}
	x.n.binder.List = func() ([]netip.Addr, error) { return slices.Collect(maps.Keys(bound)), *fails }
	return bound, fails
}

// The guard holds an address from before its claim is announced until after its
// release was, the arrival included.
func TestGuardFollowsTheClaim(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		g := x.guarded()
		var wrong []string
		announce := x.n.announcer.Send
		x.n.announcer.Send = func(ip netip.Addr, owner ether.MAC) {
			if !g.held[ip] { // clients may send us its packets until all are corrected
				wrong = append(wrong, fmt.Sprintf("%v announced at %v, and not held", ip, owner))
			}
			announce(ip, owner)
		}
		e := x.register(nas())
		if len(g.did) != 0 {
			t.Errorf("before the claim: %q", g.did)
		}
		x.pass(4 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		x.hear(syn(nas4, 22))
		x.want(e, machine.Waking, nas4, nas6)
		x.hear(lantest.ARPProbe(nasMAC, nas4))
		x.want(e, machine.Arriving)
		if !g.held[nas4] || !g.held[nas6] {
			t.Errorf("held in arriving: %v", g.held)
		}
		x.up(nas()).open = []uint16{22}
		x.pass(time.Second)
		x.want(e, machine.Awake)
		if !g.held[nas4] || !g.held[nas6] {
			t.Errorf("held while clients are corrected: %v", g.held)
		}
		x.pass(machine.AnnouncedFor)
		if len(g.held) != 0 {
			t.Errorf("held when all are corrected: %v", g.held)
		}
		g.did = slices.DeleteFunc(g.did, func(s string) bool { return s == "check" })
		slices.Sort(g.did)
		if want := []string{"hold eth0 [10.77.0.20 fd77::20]", "release eth0 10.77.0.20", "release eth0 fd77::20"}; !slices.Equal(g.did, want) {
			t.Errorf("the guard got %q, want %q", g.did, want)
		}
		if len(x.announced(nas4)) == 0 || len(wrong) > 0 {
			t.Errorf("announced against the guard: %q", wrong)
		}
	})
}

// Whatever else ends a claim ends the guard.
func TestGuardEndsWithTheClaim(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*fixture, *entry)
		want []netip.Addr
	}{
		// A client that has not heard of it still sends to us, and our host may forward.
		{"speaks in its sleep", func(x *fixture, _ *entry) { x.hear(lantest.Segment(nasMAC, nas4, client4, 443, lantest.ACK)) }, []netip.Addr{nas4, nas6}},
		{"is started by hand", func(x *fixture, e *entry) {
			x.up(nas())
			x.hear(arpUse(nasMAC, nas4))
			x.pass(time.Second + machine.AnnouncedFor)
			x.want(e, machine.Awake)
		}, nil},
		{"registers again", func(x *fixture, _ *entry) { x.register(nas()); x.pass(time.Second) }, []netip.Addr{nas4, nas6}}, // until the clients know
		{"is forgotten", func(x *fixture, e *entry) { x.dispatch(e, machine.Stopped{}); x.forget(e, "test") }, nil},
		{"loses an address", func(x *fixture, _ *entry) { x.hear(arpUse(strangerMAC, nas4)) }, []netip.Addr{nas6}},
		{"the porter leaves", func(x *fixture, _ *entry) { x.releaseAll() }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				g := x.guarded()
				e := x.asleep(nas())
				if len(g.held) != 2 {
					t.Fatalf("held asleep: %v", g.held)
				}
				c.end(x, e)
				got := slices.SortedFunc(maps.Keys(g.held), netip.Addr.Compare)
				if diff := cmp.Diff(c.want, got, byValue); diff != "" {
					t.Errorf("held (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// In bind mode the kernel owns addresses exactly while the guard works.
func TestBoundWhileGuarded(t *testing.T) {
	withLoop(t, func(c *config.Config) { c.Claim.Mode = config.ModeBind }, func(x *fixture) {
		g := x.guarded()
		bound, _ := x.fakeBinder()
		g.fails = errors.New("busy")
		x.asleep(nas())
		if len(bound) > 0 {
			t.Errorf("bound while the guard does not work from the start: %v", bound)
		}
		for _, works := range []bool{true, false, true} {
			if g.fails = nil; !works {
				g.fails = errors.New("gone")
			}
			x.pass(11 * time.Second)
			if got := len(bound) == 2; got != works {
				t.Errorf("bound %v while the guard works: %v", bound, works)
			}
		}
	})
}

// When an interface is there again its guard is, before the kernel owns addresses.
func TestGuardOfAnInterfaceThatIsBack(t *testing.T) {
	onLab(t, func(c *config.Config) { c.Claim.Mode = config.ModeBind }, func(x *fixture) {
		g := x.guarded()
		bound, _ := x.fakeBinder()
		x.asleep(nas())
		clear(bound)
		g.did = nil
		bind := x.n.binder.Add
		x.n.binder.Add = func(ips ...netip.Addr) error {
			g.did = append(g.did, "bind")
			return bind(ips...)
		}
		linkKeeper{x.loop}.inspect(x.n, lan.Change{LinkLost: true})
		if want := []string{"attach eth0", "bind"}; !slices.Equal(g.did, want) {
			t.Errorf("did %q, want %q", g.did, want)
		}
	})
}

// A machine that speaks for an address has it alone, also in our kernel.
func TestUnboundWhenTheMachineSpeaks(t *testing.T) {
	withLoop(t, func(c *config.Config) { c.Claim.Mode = config.ModeBind }, func(x *fixture) {
		x.guarded()
		bound, _ := x.fakeBinder()
		e := x.asleep(nas())
		x.hear(lantest.ARPProbe(nasMAC, nas4))
		if bound[nas4] || !bound[nas6] {
			t.Errorf("bound %v", bound)
		}
		x.pass(4 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		if len(bound) != 2 {
			t.Errorf("bound %v when it sleeps on", bound)
		}
	})
}

// Programs of our own host are led to us while an address is claimed, also after
// the kernel forgot that with an address of ours, and to the machine afterwards.
func TestProgramsOfOurOwnHost(t *testing.T) {
	onLab(t, func(c *config.Config) { c.Wake.Local = true }, func(x *fixture) {
		pinned := func() []netip.Addr {
			t.Helper()
			ips, err := lan.PinnedNeighbors(x.n.Index(), x.n.MAC())
			if err != nil {
				t.Fatal(err)
			}
			return ips
		}
		e := x.asleep(nas())
		if got := pinned(); !slices.Equal(got, []netip.Addr{nas4, nas6}) {
			t.Errorf("pinned %v while it sleeps", got)
		}
		if err := lan.DropNeighbor(x.n.Index(), nas4); err != nil {
			t.Fatal(err)
		}
		linkKeeper{x.loop}.inspect(x.n, lan.Change{AddrLost: true})
		if got := pinned(); !slices.Equal(got, []netip.Addr{nas4, nas6}) {
			t.Errorf("pinned %v after the kernel forgot one", got)
		}
		knock := parsed(lan.SYNProbe(x.n.MAC(), x.n.MAC(), netip.AddrPortFrom(porter4, lantest.ClientPort), netip.AddrPortFrom(nas4, 22), 1))
		x.n.reader.HandleOutgoing(knock)
		x.turn()
		x.want(e, machine.Waking, nas4, nas6)
		x.up(nas()).open = []uint16{22}
		x.pass(time.Second)
		x.want(e, machine.Awake)
		if mac, known, err := lan.NeighborMAC(x.n.Index(), nas4); err != nil || !known || mac != nasMAC {
			t.Errorf("our kernel has %v at %v, %v", nas4, mac, err)
		}
		x.pass(machine.AnnouncedFor)
		if got := pinned(); len(got) != 0 {
			t.Errorf("pinned %v when it is over", got)
		}
	})
}

// What an earlier run left in the kernel is removed, and the guard mounted.
func TestRepairAndGuard(t *testing.T) {
	onLab(t, nil, func(x *fixture) {
		if err := lan.PinNeighbor(x.n.Index(), nas4, x.n.MAC()); err != nil {
			t.Fatal(err)
		}
		if err := x.porter.Repair(); err != nil {
			t.Error(err)
		}
		if left, err := lan.PinnedNeighbors(x.n.Index(), x.n.MAC()); err != nil || len(left) > 0 {
			t.Errorf("left %v, %v", left, err)
		}
		if err := x.porter.MountGuard(); err != nil || x.porter.Guard().Mode != guard.ModeAuto {
			t.Errorf("%v: %+v", err, x.porter.Guard())
		}
	})
}
