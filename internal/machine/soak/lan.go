package soak

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

// lan is one host, what its porter believes of it, and the network between the two.
type lan struct {
	q    *queue
	rand *rand.Rand

	host      *host
	m         *machine.Machine // nil while the porter is not running
	policy    machine.Policy
	agentless bool
	unwatched bool

	loss       float64             // share of frames that are lost, in each direction
	dropProbes int                 // number of probes to come that are lost
	cut        bool                // the porter's own link is down
	closed     time.Time           // until then the switch port of the porter forwards nothing
	unplaced   []machine.Place     // addresses that cannot be claimed at present
	rivals     map[netip.Addr]bool // addresses that another host uses
}

func newLAN(q *queue, seed uint64) *lan {
	l := &lan{q: q, rand: rand.New(rand.NewPCG(seed, 1)), policy: defaultPolicy(), rivals: map[netip.Addr]bool{}}
	l.host = newHost(q, l.rand)
	return l
}

// lostTwice reports whether a probe or its answer is lost.
func (l *lan) lostTwice() bool { there, back := l.lost(), l.lost(); return there || back }

// lost reports whether a frame is lost.
func (l *lan) lost() bool { return l.loss > 0 && l.rand.Float64() < l.loss }

// setPlace sets why an address cannot be claimed. With no reason it can be.
func (l *lan) setPlace(ip netip.Addr, reason string) {
	l.unplaced = slices.DeleteFunc(l.unplaced, func(p machine.Place) bool { return p.Addr == ip })
	if reason != "" {
		l.unplaced = append(l.unplaced, machine.Place{Addr: ip, Reason: reason})
	}
}

// isUnplaced reports whether an address can be neither claimed nor probed at present.
func (l *lan) isUnplaced(ip netip.Addr) bool {
	return slices.ContainsFunc(l.unplaced, func(p machine.Place) bool { return p.Addr == ip })
}
