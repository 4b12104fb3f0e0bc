package demo

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// orderDelay is how long a line waits for lines of earlier times, since the daemon's log and
// the machine's events are read concurrently.
const orderDelay = 200 * time.Millisecond

// inOrder prints lines in the order of their times.
type inOrder struct {
	out     io.Writer
	mu      sync.Mutex
	waiting []stampedLine // by time
}

type stampedLine struct {
	at   time.Time
	text string
}

// put adds a line with the time at.
func (o *inOrder) put(at time.Time, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := len(o.waiting)
	for i > 0 && o.waiting[i-1].at.After(at) {
		i--
	}
	o.waiting = slices.Insert(o.waiting, i, stampedLine{at, text})
}

// print prints the lines whose times are at least waited ago.
func (o *inOrder) print(waited time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, l := range o.waiting {
		if time.Since(l.at) < waited {
			break
		}
		fmt.Fprintln(o.out, l.text)
		n++
	}
	o.waiting = slices.Delete(o.waiting, 0, n)
}

// run prints each line orderDelay after its time, until end is called. end prints the rest.
func (o *inOrder) run() (end func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(orderDelay / 10)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				o.print(orderDelay)
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-done
		o.print(0)
	}
}
