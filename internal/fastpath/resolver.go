package fastpath

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nightporter/internal/claim"
	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// How long a request is open. Answers take well below a millisecond on a wire and up to some
// hundred milliseconds from a Wi-Fi host in power save, and several hosts may answer.
const (
	resolveTries  = 3
	resolvePause  = 300 * time.Millisecond // between two tries
	resolveLinger = 150 * time.Millisecond // between those after the first answer
)

// maxAnswers bounds how many hosts answer for one address.
const maxAnswers = 16

// ResolveTime is how long Resolve takes if there is no answer.
const ResolveTime = resolveTries * resolvePause

// resolver has the open requests of one interface.
type resolver struct {
	open    atomic.Int32 // lets the readers pass by without the lock
	mu      sync.Mutex
	waiting map[netip.Addr][]chan<- ether.MAC
}

// answered passes a reply or an advertisement to the requests that wait for it.
func (q *resolver) answered(p *lan.Packet) {
	if q.open.Load() == 0 {
		return
	}
	ip := p.From
	if p.Kind == lan.NeighborAdvertisement {
		ip = p.Target
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if claim.Stated(p) != p.Src {
		return // an answer on behalf of another host proves nothing
	}
	for _, c := range q.waiting[ip] {
		select {
		case c <- p.Src:
		default: // it has enough answers
		}
	}
}

// subscribe opens a request for ip until done is called.
func (q *resolver) subscribe(ip netip.Addr) (answers <-chan ether.MAC, done func()) {
	c := make(chan ether.MAC, maxAnswers)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == nil {
		q.waiting = make(map[netip.Addr][]chan<- ether.MAC)
	}
	q.waiting[ip] = append(q.waiting[ip], c)
	q.open.Add(1)
	return c, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.open.Add(-1)
		q.waiting[ip] = slices.DeleteFunc(q.waiting[ip], func(o chan<- ether.MAC) bool { return o == c })
		if len(q.waiting[ip]) == 0 {
			delete(q.waiting, ip)
		}
	}
}

// resolve is Reader.Resolve. It repeats the request after an answer, because the owner's may
// be lost or come after that of another host.
func (q *resolver) resolve(ctx context.Context, ip netip.Addr, send func() error) ([]ether.MAC, error) {
	answers, done := q.subscribe(ip)
	defer done()
	var macs []ether.MAC
	wait := resolvePause
	for range resolveTries {
		if err := send(); err != nil {
			return nil, err
		}
		pause := time.NewTimer(wait)
		for waiting := true; waiting; {
			select {
			case mac := <-answers:
				if len(macs) == 0 {
					wait = resolveLinger
					pause.Reset(wait)
				}
				if len(macs) < maxAnswers && !slices.Contains(macs, mac) {
					macs = append(macs, mac)
				}
			case <-pause.C:
				waiting = false
			case <-ctx.Done():
				pause.Stop()
				return nil, ctx.Err()
			}
		}
	}
	return macs, nil
}
