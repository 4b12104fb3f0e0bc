package demo

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// orderDelay is how long a line waits for earlier ones: the daemon's log and the machine are
// read beside each other.
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

// put has a line printed that is about the moment at.
func (o *inOrder) put(at time.Time, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := len(o.waiting)
	for i > 0 && o.waiting[i-1].at.After(at) {
		i--
	}
	o.waiting = slices.Insert(o.waiting, i, stampedLine{at, text})
}

// print prints what has waited for so long.
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

// run prints lines as their time comes, until end is called, which prints what is left.
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
