package porter

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/fair"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// scan is a SYN of somebody else than the client.
func scan(to netip.Addr, port uint16) *lan.Packet {
	return segment(passerMAC, netip.MustParseAddr("10.77.0.11"), to, port, flagSYN)
}

// established is data on a connection that the client has had for long.
func established(to netip.Addr, port uint16) *lan.Packet {
	p := segment(clientMAC, client4, to, port, flagACK)
	p.Payload = 7
	return p
}

// wantSuppressed fails the test unless so many knocks at the machine did not
// wake it, and none of them is held.
func (h *night) wantSuppressed(r *entry, want map[machine.Suppression]uint64) {
	h.Helper()
	got := make(map[machine.Suppression]uint64)
	for why, n := range r.judge.Suppressed() {
		if n > 0 {
			got[machine.Suppression(why)] = n
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.Errorf("suppressed (-want +got):\n%s", diff)
	}
	if held := r.hold.Counts(); held.Dropped > 0 || r.State() == machine.Asleep && held.Held > 0 {
		h.Errorf("packets of knocks that do not wake: %+v", held)
	}
}

func TestStrayScanDoesNotWake(t *testing.T) {
	overnight(t, func(c *config.Config) { c.Wake.MinKnocks = 3 }, func(h *night) {
		r := h.asleep(nas())
		h.frame(scan(nas4, 22))
		h.frame(syn(nas4, 22))
		h.frame(syn(nas6, 22)) // another address of the client: another source
		h.pass(time.Second)
		h.frame(syn(nas4, 22)) // repeated
		h.frame(scan(nas4, 23))
		h.want(r, machine.Asleep, nas4, nas6)
		h.pass(time.Second)
		third := syn(nas4, 22)
		third.Time = time.Now().Add(-time.Millisecond)
		h.frame(third)
		h.want(r, machine.Waking, nas4, nas6)
		h.frame(scan(nas4, 22)) // it wakes anyway: whoever comes now may wait
		h.wantSuppressed(r, map[machine.Suppression]uint64{machine.TooFewKnocks: 4})
		if held := r.hold.Counts().Held; held != 2 {
			t.Errorf("%d packets held, want the client's third SYN and the last one", held)
		}
		if n, sum := observations(t, h.reg, "nightporter_wake_latency_seconds"); n != 1 || sum != 0.001 {
			t.Errorf("%d wake latencies of %v s, want one of 1 ms", n, sum)
		}
	})
}

// Knocks count also when they come faster than the loop hears of them.
func TestKnocksInOneBurst(t *testing.T) {
	overnight(t, func(c *config.Config) { c.Wake.MinKnocks = 3 }, func(h *night) {
		r := h.asleep(nas())
		for range 2 {
			h.n.reader.Handle(datagram(nas4, 27015))
			h.n.reader.Handle(scan(nas4, 22))
		}
		h.frame(&lan.Packet{Kind: lan.Other, Src: clientMAC})
		h.want(r, machine.Asleep, nas4, nas6)
		h.frame(datagram(nas4, 27015))
		h.want(r, machine.Waking, nas4, nas6)
		h.wantSuppressed(r, map[machine.Suppression]uint64{machine.TooFewKnocks: 4})
	})
}

// quietFor makes the next d quiet, by the local clock.
func quietFor(d time.Duration) func(*config.Config) {
	return func(c *config.Config) {
		now := time.Now()
		hours, err := fair.ParseHours(now.Format("15:04") + "-" + now.Add(d).Format("15:04"))
		if err != nil {
			panic(err) // of our own making
		}
		c.Wake.QuietHours = hours
	}
}

func TestQuietHours(t *testing.T) {
	overnight(t, quietFor(10*time.Minute), func(h *night) {
		r := h.asleep(nas())
		for _, p := range []*lan.Packet{syn(nas4, 22), datagram(nas4, 27015), echo(nas4), syn(nas6, 22)} {
			h.frame(p)
		}
		h.pass(9 * time.Minute)
		h.frame(syn(nas4, 22))
		h.want(r, machine.Asleep, nas4, nas6)
		h.wantSuppressed(r, map[machine.Suppression]uint64{machine.InQuietHours: 5})
		h.pass(time.Minute)
		h.frame(datagram(nas4, 27015))
		h.want(r, machine.Waking, nas4, nas6)
	})
}

// Somebody who asks for it wakes a machine at any time, and then its clients
// wait like always.
func TestWakeAskedForInQuietHours(t *testing.T) {
	overnight(t, quietFor(8*time.Hour), func(h *night) {
		r := h.asleep(nas())
		h.frame(syn(nas4, 22))
		h.want(r, machine.Asleep, nas4, nas6)
		h.tell(r, machine.WakeAsked{Trigger: machine.ByAPI, By: "test"})
		h.want(r, machine.Waking, nas4, nas6)
		h.wantSuppressed(r, map[machine.Suppression]uint64{machine.InQuietHours: 1})
		h.frame(syn(nas4, 22))
		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
		h.want(r, machine.Arriving)
		if held := r.hold.Counts().Held; held != 1 {
			t.Errorf("%d packets held, want the one after the wake", held)
		}
		h.frame(h.accepts(nas4, 22))
		h.want(r, machine.Awake)
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
			overnight(t, rules, func(h *night) {
				r := h.register(nas())
				h.frame(datagram(nas4, 27015)) // by a stale neighbour entry
				h.pass(3*time.Second + time.Millisecond)
				h.want(r, machine.Asleep, nas4, nas6)
				if held := r.hold.Counts().Held; held != 0 {
					t.Errorf("%d packets held", held)
				}
			})
		})
	}
}

// What a connection leaves behind does not wake at once. Somebody who opens a new
// one does, the moment the machine is asleep.
func TestCooldown(t *testing.T) {
	rules := func(c *config.Config) { c.Wake.Cooldown, c.Wake.Established = 10*time.Second, true }
	leftovers := map[string]*lan.Packet{
		"a datagram": datagram(nas4, 27015), "an echo request": echo(nas4), "data": established(nas4, 22),
	}
	for name, p := range leftovers {
		t.Run(name, func(t *testing.T) {
			overnight(t, rules, func(h *night) {
				r := h.asleep(nas())
				h.frame(p)
				h.pass(9 * time.Second)
				h.frame(p)
				h.want(r, machine.Asleep, nas4, nas6)
				h.wantSuppressed(r, map[machine.Suppression]uint64{machine.WhileCooling: 2})
				h.pass(time.Second)
				h.frame(p)
				h.want(r, machine.Waking, nas4, nas6)
			})
		})
	}
	t.Run("a new connection", func(t *testing.T) {
		overnight(t, rules, func(h *night) {
			r := h.asleep(nas())
			for _, p := range leftovers {
				h.frame(p)
			}
			h.frame(syn(nas4, 22))
			h.want(r, machine.Waking, nas4, nas6)
			h.wantSuppressed(r, map[machine.Suppression]uint64{machine.WhileCooling: 3})
		})
	})
}

// A wake that failed does not begin another cooldown.
func TestCooldownIsOfTheClaim(t *testing.T) {
	overnight(t, func(c *config.Config) { c.Wake.Cooldown = 10 * time.Second }, func(h *night) {
		r := h.asleep(nas())
		h.frame(syn(nas4, 22))
		h.pass(91 * time.Second) // of which 90 were its attempts
		h.want(r, machine.Asleep, nas4, nas6)
		h.frame(echo(nas4))
		h.want(r, machine.Waking, nas4, nas6)
	})
}

// Who may not wake at all is no business of the rules.
func TestStrangersAreNotSuppressed(t *testing.T) {
	only := func(c *config.Config) {
		quietFor(8 * time.Hour)(c)
		c.Wake.From = []netip.Prefix{netip.PrefixFrom(client4, 32)}
	}
	overnight(t, only, func(h *night) {
		r := h.asleep(nas())
		h.frame(scan(nas4, 22))
		h.frame(syn(nas4, 23)) // not a knock
		h.wantSuppressed(r, map[machine.Suppression]uint64{})
	})
}

// The rules follow the configuration.
func TestRulesAreReloaded(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		conf := *h.conf
		conf.Wake.MinKnocks = 2
		h.conf, h.n.stale = &conf, true
		h.publish()
		h.frame(syn(nas4, 22))
		h.want(r, machine.Asleep, nas4, nas6)
		conf.Wake.MinKnocks = 1
		h.n.stale = true
		h.publish()
		h.frame(syn(nas4, 22))
		h.want(r, machine.Waking, nas4, nas6)
	})
}

// The log says why a machine sleeps on, and does not repeat it.
func TestSuppressedInTheLog(t *testing.T) {
	overnight(t, quietFor(8*time.Hour), func(h *night) {
		h.asleep(nas())
		lines := func(level string) (n int) {
			for line := range strings.Lines(h.log.String()) {
				if strings.Contains(line, "level="+level+` msg="knock does not wake" machine=nas reason=wake.quiet_hours knock="10.77.0.10`) {
					n++
				}
			}
			return n
		}
		for i, p := range []*lan.Packet{echo(nas4), syn(nas4, 22), datagram(nas4, 27015)} {
			h.frame(p)
			if info, debug := lines("INFO"), lines("DEBUG"); info != 1 || debug != i {
				t.Errorf("%d lines at info, %d at debug level after %d knocks", info, debug, i+1)
			}
		}
		if want := `knock="10.77.0.10 -> 10.77.0.20/icmp"`; !strings.Contains(h.log.String(), want) {
			t.Errorf("no %s in the log:\n%s", want, &h.log)
		}
		h.pass(time.Hour)
		h.frame(syn(nas4, 22))
		if n := lines("INFO"); n != 2 {
			t.Errorf("%d lines at info level an hour later", n)
		}
		var noted []string
		for _, line := range h.journal.(*notebook).told() {
			if strings.HasPrefix(line, "suppressed,") {
				noted = append(noted, line)
			}
		}
		if diff := cmp.Diff([]string{
			"suppressed, nas, 10.77.0.20/icmp, wake.quiet_hours, from 10.77.0.10:0",
			"suppressed, nas, 10.77.0.20:22/tcp, wake.quiet_hours, from 10.77.0.10:40000",
		}, noted); diff != "" {
			t.Errorf("in the journal (-want +got):\n%s", diff)
		}
	})
}
