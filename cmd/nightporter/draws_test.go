package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// retransmissions are the times at which a Linux client repeats its first SYN:
// since 6.5 four times after a second each (net.ipv4.tcp_syn_linear_timeouts)
// and then twice as late each time, before that twice as late from the start.
var retransmissions = []time.Duration{1 * time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second,
	7 * time.Second, 11 * time.Second, 15 * time.Second, 19 * time.Second, 35 * time.Second}

// tooNear is how close to a retransmission a service may not come up: the
// client would then be served by itself as soon as by the porter, which proves
// nothing.
const tooNear = 150 * time.Millisecond

// apart returns how far a moment, counted from the first SYN, is from the
// nearest retransmission. The kernel's timers are late by up to a sixteenth (its
// timer wheel rounds up), which adds up: no moment of that time is apart.
func apart(at time.Duration) time.Duration {
	least := time.Hour
	for _, r := range retransmissions {
		least = min(least, max(r-at, at-(r+r/16), 0))
	}
	return least
}

// A draw is one first connection to be made.
type draw struct {
	n        int
	six      bool // over IPv6
	both     bool // the machine has an address of each family
	announce bool
	warm     bool // the client has the machine in its neighbour table
	boot     time.Duration
	delay    time.Duration // of the service
}

// String tells a draw as a sentence.
func (d draw) String() string {
	word := func(is bool, yes, no string) string {
		if is {
			return yes
		}
		return no
	}
	return fmt.Sprintf("connection %d (%s to a %s machine%s, %s client, boot %v, service %v later)", d.n, word(d.six, "IPv6", "IPv4"),
		word(d.announce, "talkative", "quiet"), word(d.both, " with both families", ""), word(d.warm, "warm", "cold"), d.boot, d.delay)
}

// detection is what duplicate address detection adds to a boot with IPv6: one
// RetransTimer (RFC 4862, section 5.4).
func (d draw) detection() time.Duration {
	if d.six || d.both {
		return time.Second
	}
	return 0
}

// ready is when the service will be up, counted from the knock.
func (d draw) ready() time.Duration { return d.boot + d.detection() + d.delay }

// drawConnections returns n draws, the same for the same seed. Each kind of
// client, machine and service occurs as often as any other; times are random.
func drawConnections(seed uint64, n int) []draw {
	random := rand.New(rand.NewPCG(seed, 0))
	between := func(from, to time.Duration) time.Duration {
		return (from + time.Duration(random.Int64N(int64(to-from)))).Truncate(time.Millisecond)
	}
	all := make([]draw, n)
	for i := range all {
		d := draw{n: i, six: i&1 != 0, announce: i&2 != 0, warm: i&4 != 0, both: random.IntN(2) == 0}
		for {
			d.boot = between(300*time.Millisecond, 6*time.Second)
			if i&8 != 0 {
				d.delay = between(200*time.Millisecond, 4*time.Second)
			}
			// What a busy computer adds makes it later, never earlier.
			if apart(d.ready()) >= 200*time.Millisecond && apart(d.ready()+200*time.Millisecond) >= 200*time.Millisecond {
				break
			}
		}
		all[i] = d
	}
	return all
}

// TestDraws: the same seed draws the same, and no draw misses the point.
func TestDraws(t *testing.T) {
	const n = 300
	all := drawConnections(1, n)
	if !slices.Equal(all, drawConnections(1, n)) {
		t.Error("one seed, two sequences")
	}
	if slices.Equal(all, drawConnections(2, n)) {
		t.Error("two seeds, one sequence")
	}
	for _, d := range all {
		if d.boot < 300*time.Millisecond || d.boot > 6*time.Second || d.delay != 0 && (d.delay < 200*time.Millisecond || d.delay > 4*time.Second) {
			t.Errorf("%v: out of bounds", d)
		}
		for _, r := range retransmissions {
			if early := r - d.ready(); -tooNear < early && early < 2*tooNear {
				t.Errorf("%v: ready %v before the SYN that is repeated after %v", d, early, r)
			}
		}
	}
}
