package porter

import (
	"math"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

const (
	// pinInterval is how often clients with held packets get a unicast ARP reply or NA that
	// points the address at our MAC, even if no frame of the machine is seen: it may send
	// unicast to one of them.
	pinInterval = time.Second

	// pinPause is the minimum time between two rounds after the first pinRounds. A machine
	// sends several announcements when its network comes up, and a client that is pinned
	// late gets the machine's RST.
	pinPause  = 50 * time.Millisecond
	pinRounds = 10

	// refusalInterval is how often all hosts on the LAN are pinned while the machine refuses
	// connections: a host may drop a neighbor entry that it does not use.
	refusalInterval = 4 * time.Second

	// maxPinnedHosts is how many hosts are pinned for one address. Linux keeps about a
	// thousand neighbor entries (gc_thresh3).
	maxPinnedHosts = 64
)

// pinState is which clients and hosts are pinned for an arriving machine, that is, learn
// that its addresses are at our MAC, and when the next round is due.
type pinState struct {
	roundLimit *rate.Limiter // rounds without a pause
	lastRound  time.Time     // when the last round was
	clientsAt  time.Time     // when the next round for all clients is due
	repeat     bool          // one more round follows the next
	clients    turns
	hosts      []hostRound // the most urgent address comes first
}

// hostRound is an address for which the other hosts on the LAN are pinned without a
// request.
type hostRound struct {
	ip    netip.Addr
	turns turns
}

func newPinState() pinState {
	return pinState{roundLimit: rate.NewLimiter(rate.Every(pinPause), pinRounds)}
}

// turns selects neighbors from a list in turn, when the rate does not allow all at once.
type turns struct{ at, left int }

func (t *turns) begin() { t.left = math.MaxInt }

// take calls send for one neighbor of n after the other, until each had its turn or send
// returns false because the rate is used up.
func (t *turns) take(n int, send func(i int) bool) {
	for t.left = min(t.left, n); t.left > 0 && send(t.at%n); t.left-- {
		t.at++
	}
}
