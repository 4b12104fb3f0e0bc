package porter

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
	"nightporter/internal/wakefilter"
)

// scan is a SYN of another host than the client.
func scan(to netip.Addr, port uint16) *lan.Packet {
	return lantest.Segment(otherMAC, netip.MustParseAddr("10.77.0.11"), to, port, lantest.SYN)
}

// established is data on a connection that the client has had for long.
func established(to netip.Addr, port uint16) *lan.Packet {
	p := lantest.Segment(clientMAC, client4, to, port, lantest.ACK)
	p.Payload = 7 // more than a keep-alive has
	return p
}

// wantSuppressed fails the test unless so many knocks at the machine did not
// wake it, and none of them is held.
func wantSuppressed(x *fixture, e *entry, want map[machine.Suppression]uint64) {
	x.Helper()
	got := make(map[machine.Suppression]uint64)
	for why, n := range e.filter.Suppressed() {
		if n > 0 {
			got[machine.Suppression(why)] = n
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		x.Errorf("suppressed (-want +got):\n%s", diff)
	}
	if held := e.hold.Counts(); held.Dropped > 0 || e.State() == machine.Asleep && held.Held > 0 {
		x.Errorf("packets of knocks that do not wake: %+v", held)
	}
}

func TestStrayScanDoesNotWake(t *testing.T) {
	withLoop(t, func(c *config.Config) { c.Wake.MinKnocks = 3 }, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(scan(nas4, 22))
		x.hear(syn(nas4, 22))
		x.hear(syn(nas6, 22)) // another address of the client: another source
		x.pass(time.Second)
		x.hear(syn(nas4, 22)) // repeated
		x.hear(scan(nas4, 23))
		x.want(e, machine.Asleep, nas4, nas6)
		x.pass(time.Second)
		third := syn(nas4, 22)
		third.Time = time.Now().Add(-time.Millisecond)
		x.hear(third)
		x.want(e, machine.Waking, nas4, nas6)
		x.hear(scan(nas4, 22)) // it wakes anyway: what comes now may wait
		wantSuppressed(x, e, map[machine.Suppression]uint64{machine.TooFewKnocks: 4, machine.PortNotRegistered: 1})
		if held := e.hold.Counts().Held; held != 2 {
			t.Errorf("%d packets held, want the client's third SYN and the last one", held)
		}
		if n, sum := x.latencies(); n != 1 || sum != 0.001 {
			t.Errorf("%d wake latencies of %v s, want one of 1 ms", n, sum)
		}
	})
}

// Knocks count also when they come faster than the loop hears of them.
func TestKnocksInOneBurst(t *testing.T) {
	withLoop(t, func(c *config.Config) { c.Wake.MinKnocks = 3 }, func(x *fixture) {
		e := x.asleep(nas())
		for range 2 {
			x.n.reader.Handle(datagram(nas4, 27015))
			x.n.reader.Handle(scan(nas4, 22))
		}
		x.turn()
		x.want(e, machine.Asleep, nas4, nas6)
		x.hear(datagram(nas4, 27015))
		x.want(e, machine.Waking, nas4, nas6)
		wantSuppressed(x, e, map[machine.Suppression]uint64{machine.TooFewKnocks: 4})
	})
}

// quietFor makes the next d quiet, by the local clock.
func quietFor(d time.Duration) func(*config.Config) {
	return func(c *config.Config) {
		now := time.Now()
		hours, err := wakefilter.ParseHours(now.Format("15:04") + "-" + now.Add(d).Format("15:04"))
		if err != nil {
			panic(err) // of our own making
		}
		c.Wake.QuietHours = hours
	}
}

func TestQuietHours(t *testing.T) {
	withLoop(t, quietFor(10*time.Minute), func(x *fixture) {
		e := x.asleep(nas())
		for _, p := range []*lan.Packet{syn(nas4, 22), datagram(nas4, 27015), echo(nas4), syn(nas6, 22)} {
			x.hear(p)
		}
		x.pass(9 * time.Minute)
		x.hear(syn(nas4, 22))
		x.want(e, machine.Asleep, nas4, nas6)
		wantSuppressed(x, e, map[machine.Suppression]uint64{machine.InQuietHours: 5})
		x.pass(time.Minute)
		x.hear(datagram(nas4, 27015))
		x.want(e, machine.Waking, nas4, nas6)
	})
}

// A person who asks for it wakes a machine at any time, and then its clients
// wait like always.
func TestWakeAskedForInQuietHours(t *testing.T) {
	withLoop(t, quietFor(8*time.Hour), func(x *fixture) {
		e := x.asleep(nas())
		x.hear(syn(nas4, 22))
		x.want(e, machine.Asleep, nas4, nas6)
		x.dispatch(e, machine.WakeRequested{Trigger: machine.ByAPI, By: "test"})
		x.want(e, machine.Waking, nas4, nas6)
		wantSuppressed(x, e, map[machine.Suppression]uint64{machine.InQuietHours: 1})
		x.hear(syn(nas4, 22))
		up := x.up(nas())
		x.pass(200 * time.Millisecond)
		x.want(e, machine.Arriving)
		if held := e.hold.Counts().Held; held != 1 {
			t.Errorf("%d packets held, want the one after the wake", held)
		}
		up.open = []uint16{22}
		x.pass(300 * time.Millisecond)
		x.want(e, machine.Awake)
	})
}

// A knock at a machine that settles leaves no wake for when it is asleep.
func TestNoWakeIsLeftBehindWhileSettling(t *testing.T) {
	for name, rules := range map[string]func(*config.Config){
		"quiet hours": quietFor(8 * time.Hour),
		"min_knocks":  func(c *config.Config) { c.Wake.MinKnocks = 2 },
		"cooldown":    func(c *config.Config) { c.Wake.Cooldown = time.Minute },
	} {
		t.Run(name, func(t *testing.T) {
			withLoop(t, rules, func(x *fixture) {
				e := x.register(nas())
				x.hear(datagram(nas4, 27015)) // by a stale neighbor entry
				x.pass(claimTime)
				x.want(e, machine.Asleep, nas4, nas6)
				if held := e.hold.Counts().Held; held != 0 {
					t.Errorf("%d packets held", held)
				}
			})
		})
	}
}

// What a connection leaves behind does not wake at once. A client that opens a new
// one does, the moment the machine is asleep.
func TestCooldown(t *testing.T) {
	rules := func(c *config.Config) { c.Wake.Cooldown, c.Wake.Established = 10*time.Second, true }
	leftovers := map[string]*lan.Packet{
		"a datagram": datagram(nas4, 27015), "an echo request": echo(nas4), "data": established(nas4, 22),
	}
	for name, p := range leftovers {
		t.Run(name, func(t *testing.T) {
			withLoop(t, rules, func(x *fixture) {
				e := x.asleep(nas())
				x.hear(p)
				x.pass(9 * time.Second)
				x.hear(p)
				x.want(e, machine.Asleep, nas4, nas6)
				wantSuppressed(x, e, map[machine.Suppression]uint64{machine.WhileCooling: 2})
				x.pass(time.Second)
				x.hear(p)
				x.want(e, machine.Waking, nas4, nas6)
			})
		})
	}
	t.Run("a new connection", func(t *testing.T) {
		withLoop(t, rules, func(x *fixture) {
			e := x.asleep(nas())
			for _, p := range leftovers {
				x.hear(p)
			}
			x.hear(syn(nas4, 22))
			x.want(e, machine.Waking, nas4, nas6)
			wantSuppressed(x, e, map[machine.Suppression]uint64{machine.WhileCooling: 3})
		})
	})
}

// A wake that failed does not begin another cooldown.
func TestCooldownIsOfTheClaim(t *testing.T) {
	withLoop(t, func(c *config.Config) { c.Wake.Cooldown = 10 * time.Second }, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(syn(nas4, 22))
		x.pass(91 * time.Second) // of which 90 were its attempts
		x.want(e, machine.Asleep, nas4, nas6)
		x.hear(echo(nas4))
		x.want(e, machine.Waking, nas4, nas6)
	})
}

// A client that may not wake at all is not judged by the rules.
func TestStrangersAreNotJudged(t *testing.T) {
	only := func(c *config.Config) {
		quietFor(8 * time.Hour)(c)
		c.Wake.From = []netip.Prefix{netip.PrefixFrom(client4, 32)}
	}
	withLoop(t, only, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(scan(nas4, 22))
		x.hear(syn(nas4, 23)) // not a knock
		wantSuppressed(x, e, map[machine.Suppression]uint64{machine.SourceNotAllowed: 1, machine.PortNotRegistered: 1})
	})
}

// The rules follow the configuration.
func TestRulesAreReloaded(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		conf := *x.conf
		conf.Wake.MinKnocks = 2
		x.conf, x.n.viewStale = &conf, true
		x.publish()
		x.hear(syn(nas4, 22))
		x.want(e, machine.Asleep, nas4, nas6)
		conf.Wake.MinKnocks = 1
		x.n.viewStale = true
		x.publish()
		x.hear(syn(nas4, 22))
		x.want(e, machine.Waking, nas4, nas6)
	})
}

// The log and the journal say why a machine sleeps on, and do not repeat it.
func TestSuppressedInTheLog(t *testing.T) {
	withLoop(t, quietFor(8*time.Hour), func(x *fixture) {
		x.asleep(nas())
		lines := func() int {
			return strings.Count(x.output.String(), `msg="knock does not wake" event=suppressed machine=nas`)
		}
		for i, p := range []*lan.Packet{echo(nas4), syn(nas4, 22), syn(nas4, 22), syn(nas4, 445)} {
			x.hear(p)
			if want := []int{1, 2, 2, 3}[i]; lines() != want {
				t.Errorf("%d lines after %d packets, want %d", lines(), i+1, want)
			}
		}
		for _, want := range []string{
			`reason=wake.quiet_hours knock="10.77.0.10 -> 10.77.0.20/icmp"`, `reason=port knock="10.77.0.10:40000 -> 10.77.0.20:445/tcp"`,
		} {
			if !strings.Contains(x.output.String(), want) {
				t.Errorf("no %s in the log:\n%s", want, &x.output)
			}
		}
		x.pass(time.Hour)
		x.hear(syn(nas4, 22))
		if diff := cmp.Diff([]string{
			"suppressed, nas, 10.77.0.20/icmp, wake.quiet_hours, from 10.77.0.10:0",
			"suppressed, nas, 10.77.0.20:22/tcp, wake.quiet_hours, from 10.77.0.10:40000",
			"suppressed, nas, 10.77.0.20:445/tcp, port, from 10.77.0.10:40000",
			"suppressed, nas, 10.77.0.20:22/tcp, wake.quiet_hours, from 10.77.0.10:40000",
		}, x.suppressed()); diff != "" {
			t.Errorf("in the journal (-want +got):\n%s", diff)
		}
	})
}

// suppressed returns the events of packets that did not wake.
func (x *fixture) suppressed() (noted []string) {
	for _, line := range x.events.lines() {
		if strings.HasPrefix(line, "suppressed,") {
			noted = append(noted, line)
		}
	}
	return noted
}

// After failed wakes the loop notes what does not wake: the readers have not seen them.
func TestKnockAfterFailedWakes(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		for range 2 {
			x.hear(syn(nas4, 22))
			x.pass(91 * time.Second) // of which 90 were its attempts
			x.want(e, machine.Asleep, nas4, nas6)
		}
		x.hear(syn(nas4, 22))
		x.hear(datagram(nas4, 27015))
		x.want(e, machine.Asleep, nas4, nas6)
		if got := e.filter.Suppressed()[machine.AfterFailures]; got != 2 {
			t.Errorf("%d packets are counted, want 2", got)
		}
		if diff := cmp.Diff([]string{
			"suppressed, nas, 10.77.0.20:22/tcp, failed_wakes, from 10.77.0.10:40000",
			"suppressed, nas, 10.77.0.20:27015/udp, failed_wakes, from 10.77.0.10:40000",
		}, x.suppressed()); diff != "" {
			t.Errorf("in the journal (-want +got):\n%s", diff)
		}
		if s := e.shown(time.Now()); s.RetryAt.IsZero() || len(s.Ignored) != 2 {
			t.Errorf("shown until %v, ignored %+v", s.RetryAt, s.Ignored)
		}
	})
}

// A packet of our own host to a machine is reported if the kernel resolved it in the
// machine's present sleep and on its interface.
func TestOwnHostIsTold(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		index := x.n.Index()
		vain := func(index int, ip netip.Addr) {
			x.localPacket(localPacket{index: index, Service: machine.Service{Addr: ip}})
		}
		vain(index, nas4) // from before it slept
		x.pass(lan.UnresolvedTime)
		vain(index+1, nas4)
		vain(index, netip.MustParseAddr("10.77.0.21"))
		if got := x.suppressed(); got != nil {
			t.Errorf("told %q", got)
		}
		vain(index, nas4)
		vain(index, nas6)
		x.localPacket(localPacket{Service: machine.Service{Addr: nas4, Port: machine.Port{Protocol: machine.TCP, Number: 22}}})
		own4, own6 := x.n.ownAddressNear(nas4), x.n.ownAddressNear(nas6)
		if diff := cmp.Diff([]string{
			"suppressed, nas, 10.77.0.20, wake.local, from " + netip.AddrPortFrom(own4, 0).String(),
			"suppressed, nas, 10.77.0.20:22/tcp, wake.local, from " + netip.AddrPortFrom(own4, 0).String(),
		}, x.suppressed()); diff != "" || !own6.Is6() {
			t.Errorf("in the journal (-want +got), from %v:\n%s", own6, diff)
		}
		wantSuppressed(x, e, map[machine.Suppression]uint64{machine.FromThisHost: 3})
		x.hear(syn(nas4, 22))
		x.want(e, machine.Waking, nas4, nas6)
		x.localPacket(localPacket{Service: machine.Service{Addr: nas4}})
		wantSuppressed(x, e, map[machine.Suppression]uint64{machine.FromThisHost: 3})
	})
}
