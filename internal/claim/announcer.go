package claim

import (
	"net/netip"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/timerqueue"
)

// announceAt is when an address with a new owner is announced, counted from the change. A
// client with a valid neighbor entry learns of the change by nothing else, and an
// announcement can be lost. RFC 5227 section 1.1 requires two, 2 s apart.
var announceAt = [...]time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}

// Announcer announces the owners of addresses to the LAN, several times each. It has no
// timer: Run sends what is due, and Next returns when to call it again. It is not safe for
// concurrent use.
type Announcer struct {
	// Send announces once that ip is at owner.
	Send func(ip netip.Addr, owner ether.MAC)

	queue         timerqueue.Queue[netip.Addr]
	announcements map[netip.Addr]*announcement
}

type announcement struct {
	owner ether.MAC
	since time.Time
	sent  int
}

// Announce begins to announce that ip is at owner, the first time at once. It replaces
// earlier announcements of ip.
func (a *Announcer) Announce(now time.Time, ip netip.Addr, owner ether.MAC) {
	a.AnnounceFrom(now, ip, owner)
	a.send(ip)
}

// AnnounceFrom is Announce with the first announcement at a time.
func (a *Announcer) AnnounceFrom(at time.Time, ip netip.Addr, owner ether.MAC) {
	if a.announcements == nil {
		a.announcements = make(map[netip.Addr]*announcement)
	}
	a.announcements[ip] = &announcement{owner: owner, since: at}
	a.queue.Set(ip, at)
}

// Cancel stops the announcements of ip.
func (a *Announcer) Cancel(ip netip.Addr) {
	delete(a.announcements, ip)
	a.queue.Remove(ip)
}

// Next returns when Run is due, or the zero time.
func (a *Announcer) Next() time.Time { return a.queue.Next() }

// Run sends every announcement that is due.
func (a *Announcer) Run(now time.Time) {
	for ip, ok := a.queue.Pop(now); ok; ip, ok = a.queue.Pop(now) {
		a.send(ip)
	}
}

func (a *Announcer) send(ip netip.Addr) {
	current := a.announcements[ip]
	a.Send(ip, current.owner)
	current.sent++
	if current.sent == len(announceAt) {
		a.Cancel(ip)
		return
	}
	a.queue.Set(ip, current.since.Add(announceAt[current.sent]))
}
