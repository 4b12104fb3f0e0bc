package porter

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nightporter/internal/claim"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// How long a question to the LAN is kept open. Answers take well below a
// millisecond on a wire and up to some hundred on a sleepy Wi-Fi, and whoever
// answers first need not be the only one.
const (
	lookupTries  = 3
	lookupPause  = 300 * time.Millisecond // between two tries
	lookupLinger = 300 * time.Millisecond // after the first answer
)

// lookups are the open questions "who has this address?" of one interface.
type lookups struct {
	open  atomic.Int32 // lets the reader pass by without the lock
	mu    sync.Mutex
	wants map[netip.Addr][]chan<- machine.MAC
}

// answered takes a reply or an advertisement to whoever waits for it.
func (l *lookups) answered(p *lan.Packet) {
	if l.open.Load() == 0 {
		return
	}
	ip := p.From
	if p.Kind == lan.NeighborAdvertisement {
		ip = p.Target
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.wants[ip] {
		select {
		case c <- claim.Stated(p):
		default: // it has plenty of answers already
		}
	}
}

func (l *lookups) want(ip netip.Addr) (answers <-chan machine.MAC, done func()) {
	c := make(chan machine.MAC, 16)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wants == nil {
		l.wants = make(map[netip.Addr][]chan<- machine.MAC)
	}
	l.wants[ip] = append(l.wants[ip], c)
	l.open.Add(1)
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open.Add(-1)
		l.wants[ip] = slices.DeleteFunc(l.wants[ip], func(o chan<- machine.MAC) bool { return o == c })
		if len(l.wants[ip]) == 0 {
			delete(l.wants, ip)
		}
	}
}

// ask sends the question with send, up to three times, and returns every MAC
// that answered. No answer is no error.
func (l *lookups) ask(ctx context.Context, ip netip.Addr, send func() error) ([]machine.MAC, error) {
	answers, done := l.want(ip)
	defer done()
	var macs []machine.MAC
	for range lookupTries {
		if err := send(); err != nil {
			return nil, err
		}
		wait := time.NewTimer(lookupPause)
		for waiting := true; waiting; {
			select {
			case mac := <-answers:
				if len(macs) == 0 {
					wait.Reset(lookupLinger)
				}
				if !slices.Contains(macs, mac) {
					macs = append(macs, mac)
				}
			case <-wait.C:
				waiting = false
			case <-ctx.Done():
				wait.Stop()
				return nil, ctx.Err()
			}
		}
		if len(macs) > 0 {
			break
		}
	}
	return macs, nil
}
