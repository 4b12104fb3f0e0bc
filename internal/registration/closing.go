package registration

import (
	"sync"

	"nightporter/internal/ratelimit"
)

// These bound the connections that have their answer and are not closed yet, in all
// and of each source. None of them holds a place at the gate.
const (
	maxClosing       = 64
	closingPerSource = 8
)

// closing knows those connections. The zero value is ready.
type closing struct {
	mu       sync.Mutex
	total    int
	bySource map[ratelimit.Source]int
}

// enter reports whether one more connection of source may stay for a while. It
// has to leave again.
func (c *closing) enter(source ratelimit.Source) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= maxClosing || c.bySource[source] >= closingPerSource {
		return false
	}
	if c.bySource == nil {
		c.bySource = make(map[ratelimit.Source]int)
	}
	c.total++
	c.bySource[source]++
	return true
}

func (c *closing) leave(source ratelimit.Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.bySource[source]--; c.bySource[source] == 0 {
		delete(c.bySource, source)
	}
}
