package journal

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"nightporter/internal/machine"
)

// aWeek lets a machine sleep at night and be woken so often a day, by a few clients.
func (r *recorder) aWeek(wakes int) {
	for range 8 {
		for i := range wakes {
			part := day / time.Duration(wakes)
			r.be(machine.Asleep, part/2)
			r.mem.LastWake = wokenBy(night.Add(r.at), fmt.Sprint("10.77.0.", 10+i%4), machine.UnderWay)
			r.be(machine.Waking, 40*time.Second)
			r.mem.LastWake.Outcome = machine.Served
			r.be(machine.Awake, part/2-40*time.Second)
		}
	}
}

// TestTimelinesAreSmall: what one machine takes of memory and of the file.
func TestTimelinesAreSmall(t *testing.T) {
	for _, c := range []struct {
		name           string
		machines       int
		wakes          int // of each on a day
		inMemory, file int // bytes of one machine, at most
	}{
		{"three wakes a day", 1000, 3, 4 << 10, 5 << 10},
		{"as much as is kept", 100, 100, 16 << 10, 32 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := make([]*recorder, c.machines)
			for i := range all {
				all[i] = new(recorder)
			}
			before := heap()
			for _, r := range all {
				r.aWeek(c.wakes)
			}
			inMemory := (heap() - before) / c.machines
			r := all[0]
			size := func(tl *timeline) int {
				b, err := encode(&batch{base: night, lines: []line{{memory: r.mem, timeline: tl, carries: newestMemory}}}, stamp{wall: night.Add(r.at)}, nil)
				if err != nil {
					t.Fatal(err)
				}
				return len(b)
			}
			file := size(&r.timeline) - size(nil)
			t.Logf("%d bytes in memory, %d in the file", inMemory, file)
			if inMemory > c.inMemory || file > c.file {
				t.Errorf("%d bytes in memory and %d in the file, want %d and %d at most", inMemory, file, c.inMemory, c.file)
			}
			runtime.KeepAlive(all)
		})
	}
}

func heap() int {
	runtime.GC()
	runtime.GC() // texts that are not used any more go with the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
