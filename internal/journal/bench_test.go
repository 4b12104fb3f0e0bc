package journal

import (
	"testing"
	"time"
)

func BenchmarkAppend(b *testing.B) {
	j, _, _ := opened(b, b.TempDir())
	memories := make([]Record, 1000)
	for i := range memories {
		memories[i] = Record{Event: fullEvent(), Memory: memoryOf(i)}
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		j.Append(memories[n%len(memories)])
		n++
	}
}

// BenchmarkSync is a registration's way: one transition, and the word that it is
// durable.
func BenchmarkSync(b *testing.B) {
	j, _, _ := opened(b, b.TempDir())
	for b.Loop() {
		j.Append(Record{Event: fullEvent(), Memory: memoryOf(1)})
		synced(b, j)
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	put(b, dir, written(b, 1000))
	for b.Loop() {
		j, past, _ := opened(b, dir)
		if len(past.Machines) != 1000 {
			b.Fatal(len(past.Machines), "machines")
		}
		closed(b, j)
	}
}

// TestAppendIsQuick: the caller is the loop that sends the magic packets.
func TestAppendIsQuick(t *testing.T) {
	j, _, _ := opened(t, t.TempDir())
	r := Record{Event: fullEvent(), Memory: memoryOf(1)}
	const n = 5000
	start := time.Now()
	for range n {
		j.Append(r)
	}
	// Ten times what is asked for, since others use the machine too.
	if each := time.Since(start) / n; each > 100*time.Microsecond {
		t.Errorf("Append takes %v, want well below 10 µs", each)
	}
}

func TestAppendHardlyAllocates(t *testing.T) {
	// Without a writer, whose work would be counted as well.
	j := &Journal{state: newState(&content{}), wake: make(chan struct{}, 1)}
	r := Record{Event: fullEvent(), Memory: memoryOf(1)}
	if allocs := testing.AllocsPerRun(maxQueue/2, func() { j.Append(r) }); allocs > 0 {
		t.Errorf("Append allocates %.0f times, want hardly ever", allocs)
	}
}
