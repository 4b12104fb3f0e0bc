package claim

import (
	"net/netip"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/timerqueue"
)

// announceAt is when an address that changed hands is announced, counted from
// the change: a client with a warm neighbour entry learns of it by nothing
// else, and one announcement can be lost. RFC 5227 section 1.1 asks for two,
// 2 s apart.
var announceAt = [...]time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}

// Announcer tells the LAN who has an address, several times. It is driven from
// outside: Run sends what is due, Next says when to come again. It is not safe
// for concurrent use.
type Announcer struct {
	// Send tells the LAN once that ip is at owner.
	Send func(ip netip.Addr, owner ether.MAC)

	queue         timerqueue.Queue[netip.Addr]
	announcements map[netip.Addr]*announcement
}

type announcement struct {
	owner ether.MAC
	since time.Time
	sent  int
}

// Announce begins to tell that ip is at owner, the first time at once. It
// replaces what was being told about ip.
func (a *Announcer) Announce(now time.Time, ip netip.Addr, owner ether.MAC) {
	a.AnnounceFrom(now, ip, owner)
	a.send(ip)
}

// AnnounceFrom is Announce, but the first time not before at.
func (a *Announcer) AnnounceFrom(at time.Time, ip netip.Addr, owner ether.MAC) {
	if a.announcements == nil {
		a.announcements = make(map[netip.Addr]*announcement)
	}
	a.announcements[ip] = &announcement{owner: owner, since: at}
	a.queue.Set(ip, at)
}

// Cancel stops telling about ip.
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
