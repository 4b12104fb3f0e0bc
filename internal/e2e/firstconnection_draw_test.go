package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// retransmissions are the times at which a Linux client repeats its first SYN: since 6.5 four
// times after a second each (net.ipv4.tcp_syn_linear_timeouts), and then with doubled pauses.
// Before 6.5 the pauses double from the start.
var retransmissions = []time.Duration{1 * time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second,
	7 * time.Second, 11 * time.Second, 15 * time.Second, 19 * time.Second, 31 * time.Second, 35 * time.Second, 63 * time.Second,
	67 * time.Second, 127 * time.Second, 131 * time.Second}

// tooNear is the least distance of a service's start from a retransmission. A nearer one would
// serve the client without the porter, which proves nothing.
const tooNear = 150 * time.Millisecond

// distanceToRetransmission returns how far a moment, counted from the first SYN, is from the
// nearest retransmission. The kernel's timers are late by up to a sixteenth, because its timer
// wheel rounds up. The whole range counts as near.
func distanceToRetransmission(at time.Duration) time.Duration {
	least := time.Hour
	for _, r := range retransmissions {
		least = min(least, max(r-at, at-(r+r/16), 0))
	}
	return least
}

// provesReplay reports whether a client whose first SYN was that long ago cannot be served by a
// retransmission, also if a busy computer delays the service.
func provesReplay(waited time.Duration) bool {
	return distanceToRetransmission(waited) >= 200*time.Millisecond && distanceToRetransmission(waited+200*time.Millisecond) >= 200*time.Millisecond
}

// The longest times until a service is ready: the time that a client waits by its kernel's
// default for the whole proof, and less for a sample.
const (
	longestReady = 120 * time.Second
	sampleReady  = 25 * time.Second
)

// draw is one first connection, with its circumstances.
type draw struct {
	n        int
	six      bool // over IPv6
	both     bool // the machine has an address of each family
	announce bool
	warm     bool          // the client has a neighbor entry of the machine
	hardened bool          // the client takes no announcement
	deaf     time.Duration // how long the card receives nothing after the knock
	boot     time.Duration
	delay    time.Duration // of the service
	checked  bool          // a health check tries each second, and gives up after one
	second   time.Duration // when another client connects, after the first; 0: none
	strict   bool          // the second client takes no announcement
}

// String describes a draw in a sentence.
func (d draw) String() string {
	word := func(is bool, yes, no string) string {
		if is {
			return yes
		}
		return no
	}
	text := fmt.Sprintf("connection %d (%s to a %s machine%s, %s %sclient, boot %v, service %v later", d.n, word(d.six, "IPv6", "IPv4"),
		word(d.announce, "talkative", "quiet"), word(d.both, " with both families", ""), word(d.warm, "warm", "cold"),
		word(d.hardened, "hardened ", ""), d.boot, d.delay)
	if d.deaf > 0 {
		text += fmt.Sprintf(", its card deaf for %v", d.deaf)
	}
	if d.checked {
		text += ", a health check beside"
	}
	if d.second > 0 {
		text += fmt.Sprintf(", a %ssecond client after %v", word(d.strict, "hardened ", ""), d.second)
	}
	return text + ")"
}

// detection returns the time of duplicate address detection in a boot with IPv6: one
// RetransTimer (RFC 4862 section 5.4).
func (d draw) detection() time.Duration {
	if d.six || d.both {
		return time.Second
	}
	return 0
}

// mute reports whether the machine sends nothing before its service is ready: it neither
// announces nor tests an address.
func (d draw) mute() bool { return !d.announce && d.detection() == 0 && d.delay == 0 }

// heard returns when the card receives a magic packet, counted from the knock. They come after
// half a second, after one, and then each second.
func (d draw) heard() time.Duration {
	if d.deaf > 0 && d.deaf <= time.Second/2 {
		return time.Second / 2
	}
	return (d.deaf + time.Second - 1).Truncate(time.Second)
}

// ready returns when the service will be up, counted from the knock.
func (d draw) ready() time.Duration { return d.heard() + d.boot + d.detection() + d.delay }

// drawer draws at random, with the same result for the same seed.
type drawer struct{ *rand.Rand }

// one is true in that share of the draws.
func (r drawer) one(share float64) bool { return r.Float64() < share }

// between draws from a range. A higher power prefers its beginning.
func (r drawer) between(from, to time.Duration, power int) time.Duration {
	x := 1.0
	for range power {
		x *= r.Float64()
	}
	return (from + time.Duration(x*float64(to-from))).Truncate(time.Millisecond)
}

// boot draws the time of a boot: short for most machines, and minutes for some servers.
func (r drawer) boot(longest time.Duration) time.Duration {
	switch {
	case r.one(0.8):
		return r.between(300*time.Millisecond, 10*time.Second, 2)
	case r.one(0.75):
		return r.between(8*time.Second, 30*time.Second, 1)
	}
	return r.between(30*time.Second, longest, 1)
}

// delay draws the delay of a service: none for half of them, short for most others, and long
// for some.
func (r drawer) delay(longest time.Duration) time.Duration {
	switch {
	case r.one(0.5):
		return 0
	case r.one(0.85):
		return r.between(200*time.Millisecond, 6*time.Second, 1)
	case r.one(0.7):
		return r.between(6*time.Second, 20*time.Second, 1)
	}
	return r.between(20*time.Second, min(longest, 90*time.Second), 1)
}

// deaf draws how long a card receives nothing: not at all for most. No magic packet comes at
// the end of that time.
func (r drawer) deaf() time.Duration {
	if !r.one(0.25) {
		return 0
	}
	d := r.between(100*time.Millisecond, 400*time.Millisecond, 1)
	if whole := time.Duration(r.IntN(5)) * time.Second; whole > 0 {
		d += whole + 200*time.Millisecond // 0.3 to 0.6 s after a second
	}
	return d
}

// second draws when a second client connects, in half of the draws after the network is up.
func (r drawer) second(d draw) time.Duration {
	from := 100 * time.Millisecond
	if d.delay > time.Second && r.one(0.5) {
		from = d.ready() - d.delay
	}
	for range 20 {
		if at := r.between(from, d.ready()-200*time.Millisecond, 1); provesReplay(d.ready() - at) {
			return at
		}
	}
	return 0
}

// drawConnections returns n draws, the same for the same seed. Each kind of client, machine and
// service occurs equally often; times are random.
func drawConnections(seed uint64, n int, longest time.Duration) []draw {
	random := drawer{rand.New(rand.NewPCG(seed, 0))}
	all := make([]draw, n)
	for i := range all {
		d := draw{n: i, six: i&1 != 0, announce: i&2 != 0, warm: i&4 != 0, both: random.one(0.5), hardened: random.one(0.25)}
		for {
			d.boot, d.delay, d.deaf = random.boot(longest), random.delay(longest), random.deaf()
			if d.ready() <= longest && provesReplay(d.ready()) {
				break
			}
		}
		d.checked = random.one(0.25)
		if random.one(0.5) && d.ready() > time.Second {
			d.second, d.strict = random.second(d), random.one(0.25)
		}
		all[i] = d
	}
	return all
}

// TestDrawConnections: the same seed gives the same draws, all draws are within bounds, and
// each kind occurs.
func TestDrawConnections(t *testing.T) {
	const n = 1000
	all := drawConnections(1, n, longestReady)
	if !slices.Equal(all, drawConnections(1, n, longestReady)) {
		t.Error("one seed, two sequences")
	}
	if slices.Equal(all, drawConnections(2, n, longestReady)) {
		t.Error("two seeds, one sequence")
	}
	seen := make(map[string]int)
	var sum time.Duration
	for _, d := range all {
		if d.boot < 300*time.Millisecond || d.ready() > longestReady || d.delay > 90*time.Second || d.deaf > 5*time.Second || d.second >= d.ready() {
			t.Errorf("%v: out of bounds", d)
		}
		for _, r := range retransmissions {
			for _, waited := range []time.Duration{d.ready(), d.ready() - d.second} {
				if early := r - waited; -tooNear < early && early < 2*tooNear {
					t.Errorf("%v: ready %v before the SYN that is repeated after %v", d, early, r)
				}
			}
		}
		for kind, is := range map[string]bool{
			"second": d.second > 0, "second after the network": d.second > d.ready()-d.delay, "checked": d.checked, "deaf": d.deaf > 0,
			"hardened": d.hardened, "strict": d.strict, "boot over 60 s": d.boot > time.Minute, "service over 60 s": d.delay > time.Minute,
		} {
			if is {
				seen[kind]++
			}
		}
		sum += d.ready()
	}
	t.Logf("of %d draws: %v; ready after %v on average", n, strings.TrimPrefix(fmt.Sprint(seen), "map"), sum/n)
	for kind, count := range seen {
		if count < 3 {
			t.Errorf("%s: %d draws only", kind, count)
		}
	}
}
