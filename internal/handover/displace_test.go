package handover_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/handover"
	"nightporter/internal/machine"
)

// at takes a SYN of the client with a number, some time after start.
func (x *queue) at(after time.Duration, who byte, port uint16) {
	p := syn(fmt.Sprintf("%d:%d", who, port), port)
	p.From = netip.AddrFrom4([4]byte{10, 77, 0, who})
	x.h.Take(start.Add(after), p, true, ssh)
}

// queue is a hold of three packets, and who is let in from it.
type queue struct {
	t *testing.T
	h *handover.Hold
	door
}

func newQueue(t *testing.T) *queue {
	x := &queue{t: t, h: handover.NewHold(3, plenty())}
	x.h.HoldAll()
	return x
}

func (x *queue) want(want string) {
	x.t.Helper()
	x.h.Open(x.send)
	x.door.want(x.t, want)
}

// TestDeadSYNIsDisplaced: no client waits for one that is not repeated.
func TestDeadSYNIsDisplaced(t *testing.T) {
	x := newQueue(t)
	for n := range 9 { // a check from a new port each second, which gives up at once
		x.at(time.Duration(n)*time.Second, 10, uint16(1000+n))
	}
	x.at(9*time.Second, 11, 1)
	x.at(10*time.Second, 11, 1)
	for n := range 60 {
		x.at(time.Duration(10+n)*time.Second, 10, uint16(2000+n))
		if n == 2 || n == 4 || n == 8 || n == 16 || n == 32 {
			x.at(time.Duration(9+n)*time.Second, 11, 1)
		}
	}
	x.want("11:1 10:2056 10:2058")
	// 35 were displaced, which is no loss, and 32 found no place.
	wantCounts(t, x.h, machine.Packets{Held: 38, Replayed: 3, Dropped: 32})
}

// TestAShareForEachSource: if a client waits for every SYN, a source with fewer gets
// the place of one with more, and not that of an equal.
func TestAShareForEachSource(t *testing.T) {
	x := newQueue(t)
	for n := range 5 {
		x.at(0, 10, uint16(1000+n))
	}
	x.at(time.Second, 11, 1)
	x.at(time.Second, 11, 2) // two each would be no better
	x.at(time.Second, 12, 1)
	x.at(time.Second, 13, 1)
	x.want("10:1002 11:1 12:1")
}

// TestWhoHasMostGivesItsDatagrams, before those of others.
func TestWhoHasMostGivesItsDatagrams(t *testing.T) {
	x := newQueue(t)
	one := datagram("other's")
	one.From, one.Src = client, clientMAC
	x.h.Take(start, one, true, game)
	for n := range 9 {
		x.h.Take(start, datagram(fmt.Sprint(n)), true, game)
	}
	x.want("other's 7 8")
}

// TestADatagramNeverTakesThePlaceOfAClientThatWaits.
func TestADatagramNeverTakesThePlaceOfAClientThatWaits(t *testing.T) {
	x := newQueue(t)
	for n := range 3 {
		x.at(0, 10, uint16(1000+n))
	}
	x.h.Take(start.Add(time.Second), datagram("late"), true, game)
	x.want("10:1000 10:1001 10:1002")
	wantCounts(t, x.h, machine.Packets{Held: 3, Replayed: 3, Dropped: 1})
}

// TestSharesAreGivenBack, whichever way a packet went.
func TestSharesAreGivenBack(t *testing.T) {
	x := newQueue(t)
	for range 3 {
		for n := range 3 {
			x.at(0, 10, uint16(1000+n))
		}
		x.h.Drop()
	}
	x.at(0, 10, 1)
	x.at(0, 11, 1)
	x.at(0, 11, 2)
	x.at(0, 12, 1)
	x.want("10:1 11:2 12:1")
}
