package registration

import (
	"sync"

	"nightporter/internal/ratelimit"
)

// maxFarewells bounds the connections that have their answer and are not closed
// yet, in all and of each source. None of them holds a place at the gate.
const (
	maxFarewells       = 64
	farewellsPerSource = 8
)

// farewells are those connections. The zero value is ready.
type farewells struct {
	mu       sync.Mutex
	total    int
	bySource map[ratelimit.Source]int
}

// enter reports whether one more connection of source may stay for a while. It
// has to leave again.
func (f *farewells) enter(source ratelimit.Source) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.total >= maxFarewells || f.bySource[source] >= farewellsPerSource {
		return false
	}
	if f.bySource == nil {
		f.bySource = make(map[ratelimit.Source]int)
	}
	f.total++
	f.bySource[source]++
	return true
}

func (f *farewells) leave(source ratelimit.Source) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total--
	if f.bySource[source]--; f.bySource[source] == 0 {
		delete(f.bySource, source)
	}
}
