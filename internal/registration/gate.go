package registration

import (
	"sync"

	"nightporter/internal/ratelimit"
)

// minPerSource is how many connections every source may hold, however few there
// are: a host with several addresses to register must get through.
const minPerSource = 4

// gate counts the connections that are open, in all and for each source.
type gate struct {
	mu       sync.Mutex
	total    int
	bySource map[ratelimit.Source]int
}

// enter admits one more connection of source, unless there are most already, or
// source alone holds a quarter of them: one host cannot shut the others out.
func (g *gate) enter(source ratelimit.Source, most int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= most || g.bySource[source] >= max(most/4, minPerSource) {
		return false
	}
	if g.bySource == nil {
		g.bySource = make(map[ratelimit.Source]int)
	}
	g.total++
	g.bySource[source]++
	return true
}

// leave gives back what enter took.
func (g *gate) leave(source ratelimit.Source) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.bySource[source]--; g.bySource[source] == 0 {
		delete(g.bySource, source)
	}
}
