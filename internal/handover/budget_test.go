package handover_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// sized names a packet, and gives its frame so many bytes.
func sized(p *lan.Packet, bytes int) *lan.Packet {
	p.Frame = append(p.Frame, strings.Repeat(".", bytes-len(p.Frame))...)
	return p
}

// heap returns how much memory is in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryIsBounded: whatever is sent to all machines, what waits takes no more
// memory than the budget and the machines' reserves.
func TestMemoryIsBounded(t *testing.T) {
	const machines, packets, shared, reserve = 100, 256, 2 << 20, 16 << 10
	for name, flood := range map[string]func(n int) *lan.Packet{
		"SYNs":                  func(n int) *lan.Packet { return sized(syn("", uint16(n)), 60) },
		"SYNs with data":        func(n int) *lan.Packet { return sized(syn("", uint16(n)), 1700) },
		"datagrams":             func(int) *lan.Packet { return sized(datagram(""), 60) },
		"the largest datagrams": func(int) *lan.Packet { return sized(datagram(""), 9216) },
		"data of connections":   func(n int) *lan.Packet { return sized(data("", uint32(n)), 1514) },
		"all of these": func(n int) *lan.Packet {
			return sized([]*lan.Packet{syn("", uint16(n)), datagram(""), data("", uint32(n))}[n%3], 60+n%9000)
		},
	} {
		t.Run(name, func(t *testing.T) {
			budget := handover.NewBudget(shared, reserve)
			holds := make([]*handover.Hold, machines)
			before := heap()
			for i := range holds {
				holds[i] = handover.NewHold(packets, budget)
				holds[i].HoldAll()
			}
			for n := range 2 * packets {
				p := flood(n)
				for _, h := range holds {
					h.Take(start, p, true, ssh)
				}
			}
			used := heap() - before
			t.Logf("%d machines take %d KiB, of %d", machines, used>>10, (shared+machines*reserve)>>10)
			if used > shared+machines*reserve {
				t.Errorf("%d bytes of memory, want at most %d", used, shared+machines*reserve)
			}
			if used < shared/4 {
				t.Errorf("%d bytes of memory: the flood has not filled it", used)
			}
			for _, h := range holds {
				h.Close()
			}
			if left := heap() - before; left > shared/16 {
				t.Errorf("%d bytes of memory when no packet is held", left)
			}
		})
	}
}

// A flood that finds the hold full costs no allocation.
func TestFullAllocatesNothing(t *testing.T) {
	for name, p := range map[string]*lan.Packet{
		"a SYN that is dropped": syn("one more", 9), "a SYN that is repeated": syn("one more", 0), "a datagram": datagram("one more"),
	} {
		h := handover.NewHold(4, plenty())
		h.HoldAll()
		for n := range 4 {
			first := syn("syn", uint16(n))
			if p.Kind == lan.UDP {
				first = datagram("old")
			}
			take(t, h, first, ssh, handover.Held)
		}
		for range 4 {
			take(t, h, p, ssh, handover.Held)
		}
		if n := testing.AllocsPerRun(100, func() { h.Take(start, p, true, ssh) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestFloodLeavesOthersTheirReserve: while a flood has taken all that is shared,
// another machine keeps a dozen connections and a datagram.
func TestFloodLeavesOthersTheirReserve(t *testing.T) {
	for name, flood := range map[string]*lan.Packet{"SYNs": syn("", 0), "datagrams": datagram("")} {
		t.Run(name, func(t *testing.T) {
			budget := handover.NewBudget(256<<10, 16<<10)
			attacked, other := handover.NewHold(10_000, budget), handover.NewHold(64, budget)
			attacked.HoldAll()
			other.HoldAll()
			for n := range 5000 {
				p := *flood
				p.FromPort, p.Frame = uint16(n), make([]byte, 1000)
				attacked.Take(start, &p, true, ssh)
			}
			if attacked.Counts().Dropped == 0 {
				t.Fatal("the flood has not filled the budget")
			}
			for n := range 12 {
				take(t, other, sized(syn("", uint16(n)), 74), ssh, handover.Held)
			}
			take(t, other, sized(datagram(""), 1514), game, handover.Held)
			wantCounts(t, other, machine.Packets{Held: 13})
		})
	}
}

// TestSYNDisplacesDatagrams: with the budget used up a SYN takes the place of the
// oldest datagrams of its own machine, of no more than it has to, and of none if
// that would not be enough.
func TestSYNDisplacesDatagrams(t *testing.T) {
	small, large := handover.MemoryOf(100), handover.MemoryOf(1500)
	budget := handover.NewBudget(4*small, small)
	h, other := handover.NewHold(64, budget), handover.NewHold(64, budget)
	h.HoldAll()
	other.HoldAll()
	take(t, other, sized(datagram("other1"), 100), game, handover.Held)
	take(t, other, sized(datagram("other2"), 100), game, handover.Held)
	for n := range 4 {
		take(t, h, sized(datagram(fmt.Sprint("d", n)), 100), game, handover.Held)
	}
	wantCounts(t, h, machine.Packets{Held: 4})
	take(t, h, sized(datagram("late"), 100), game, handover.Held)
	wantCounts(t, h, machine.Packets{Held: 4, Dropped: 1})
	take(t, h, sized(syn("syn", 1), 100), ssh, handover.Held)
	wantCounts(t, h, machine.Packets{Held: 5, Dropped: 2})
	if large <= 4*small {
		t.Fatal("the large one is none")
	}
	take(t, h, sized(syn("large", 2), 1500), ssh, handover.Held)
	wantCounts(t, h, machine.Packets{Held: 5, Dropped: 3})
	for n := range 3 {
		take(t, h, sized(syn("syn", uint16(10+n)), 100), ssh, handover.Held)
	}
	wantCounts(t, h, machine.Packets{Held: 8, Dropped: 6})
	take(t, h, sized(syn("one too many", 20), 100), ssh, handover.Held)
	wantCounts(t, h, machine.Packets{Held: 8, Dropped: 7})
	wantCounts(t, other, machine.Packets{Held: 2})
}

// TestRepeatedSYNIsCharged: a retransmission takes what its predecessor had. If
// it is larger than can be had, the predecessor stays.
func TestRepeatedSYNIsCharged(t *testing.T) {
	budget := handover.NewBudget(0, handover.MemoryOf(1000))
	h := handover.NewHold(64, budget)
	h.HoldAll()
	take(t, h, sized(syn("first", 1), 100), ssh, handover.Held)
	take(t, h, sized(syn("larger", 1), 1000), ssh, handover.Held)
	take(t, h, sized(syn("too large", 1), 1001), ssh, handover.Held)
	take(t, h, sized(syn("other", 2), 60), ssh, handover.Held) // no room
	take(t, h, sized(syn("small", 1), 60), ssh, handover.Held)
	take(t, h, sized(syn("other", 2), 60), ssh, handover.Held)
	wantCounts(t, h, machine.Packets{Held: 2, Dropped: 1})
	var d door
	h.Open(func(frame []byte, sum lan.Checksum) error {
		return d.send([]byte(strings.TrimRight(string(frame), ".")), sum)
	})
	d.want(t, "small other")
}

// TestWhatWaitsNoMoreMakesRoom, whichever way it went.
func TestWhatWaitsNoMoreMakesRoom(t *testing.T) {
	budget := handover.NewBudget(handover.MemoryOf(100), 0)
	h, other := handover.NewHold(8, budget), handover.NewHold(8, budget)
	h.HoldAll()
	other.HoldAll()
	for name, end := range map[string]func(){
		"let in":                  func() { h.HoldUnready(); h.Admit(game, (&door{}).send); h.HoldAll() },
		"let in with all":         func() { h.Open((&door{}).send); h.HoldAll() },
		"dropped":                 func() { h.Drop() },
		"dismissed":               func() { h.Dismiss(func(machine.Service) bool { return true }) },
		"closed":                  func() { h.Close(); h.HoldAll() },
		"displaced, for the room": func() { h.SetLimit(1); take(t, h, datagram("x"), game, handover.Held); h.SetLimit(8); h.Drop() },
	} {
		held := other.Counts().Held
		take(t, h, sized(datagram(""), 100), game, handover.Held)
		take(t, other, sized(datagram(""), 100), game, handover.Held)
		if other.Counts().Held != held {
			t.Fatalf("before it was %s: the budget was not used up", name)
		}
		end()
		take(t, other, sized(datagram(""), 100), game, handover.Held)
		if other.Counts().Held != held+1 {
			t.Errorf("it was %s, and its share is still taken", name)
		}
		other.Drop()
	}
}
