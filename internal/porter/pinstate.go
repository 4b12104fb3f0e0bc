package porter

import (
	"math"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

const (
	// pinInterval is how often clients with held packets are sent a unicast ARP/NA that
	// points the address at our MAC, if the machine says nothing: it may have spoken to
	// one of them alone.
	pinInterval = time.Second

	// pinPause is the least time between two rounds of that, after the first pinRounds: a
	// machine speaks several times when its network comes up, and a client that is told
	// late meets its refusal.
	pinPause  = 50 * time.Millisecond
	pinRounds = 10

	// toldAgain is how often hosts are told that have not asked, while the machine refuses
	// connections: what a host does not use it may forget.
	refusalInterval = 4 * time.Second

	// pinned is how many hosts are told so for one address. Each has to remember it,
	// and a kernel remembers a thousand neighbors (Linux, gc_thresh3).
	maxPinnedHosts = 64
)

// pins are whom a machine that arrives has told that its addresses are at our MAC, and
// when that is done again.
type pinState struct {
	roundLimit *rate.Limiter // those that need no pause
	lastRound  time.Time     // of the last round
	clientsAt  time.Time     // when all clients are told again
	repeat     bool          // the next round is followed by another
	clients    turns
	hosts      []hostRound // the address that matters most comes first
}

// untold is an address of which the other hosts on the LAN are told, although they have
// not asked.
type hostRound struct {
	ip    netip.Addr
	turns turns
}

func newPinState() pinState {
	return pinState{roundLimit: rate.NewLimiter(rate.Every(pinPause), pinRounds)}
}

// turns are those of neighbors in a list, when not all of them can be told at once.
type turns struct{ at, left int }

func (t *turns) begin() { t.left = math.MaxInt }

// take calls tell for one neighbor of n after the other, until each has had its turn or
// tell reports that the ration is used up.
func (t *turns) take(n int, tell func(i int) bool) {
	for t.left = min(t.left, n); t.left > 0 && tell(t.at%n); t.left-- {
		t.at++
	}
}
