package porter

import (
	"net/netip"
	"time"

	"nightporter/internal/due"
	"nightporter/internal/fastpath"
	"nightporter/internal/handover"
)

// remindAt is when somebody who has asked is told once more who has the address.
// Linux ignores a second ordinary reply within a second (locktime) and takes the
// last of two advertisements, so that it is left with the card's answer in half of
// all cases; what it is told by itself counts at once. A card may be slow.
var remindAt = [...]time.Duration{50 * time.Millisecond, 300 * time.Millisecond, 1100 * time.Millisecond}

// reminders are whom to tell once more on one interface, and when. The zero value
// is empty. It is the loop's own.
type reminders struct {
	queue due.Queue[fastpath.Requester]
	told  map[fastpath.Requester]*reminder
}

type reminder struct {
	ip    netip.Addr // of the asker
	since time.Time
	sent  int
}

// add has an asker be reminded from now on, or anew.
func (q *reminders) add(now time.Time, who fastpath.Requester, ip netip.Addr) {
	r := q.told[who]
	if r == nil {
		if len(q.told) >= fastpath.MaxRequesters {
			return
		}
		if q.told == nil {
			q.told = make(map[fastpath.Requester]*reminder)
		}
		r = new(reminder)
		q.told[who] = r
	} else if r.sent == 0 {
		return // who asks again and again is not told never
	}
	*r = reminder{ip: ip, since: now}
	q.queue.Set(who, now.Add(remindAt[0]))
}

// next returns when run is due, or the zero time.
func (q *reminders) next() time.Time { return q.queue.Next() }

// run calls remind for everybody whose time has come.
func (q *reminders) run(now time.Time, remind func(handover.Guest)) {
	for who, ok := q.queue.Pop(now); ok; who, ok = q.queue.Pop(now) {
		r := q.told[who]
		remind(handover.Guest{Addr: who.Addr, MAC: who.MAC, IP: r.ip})
		r.sent++
		if r.sent == len(remindAt) {
			delete(q.told, who)
			continue
		}
		q.queue.Set(who, r.since.Add(remindAt[r.sent]))
	}
}

// asked takes those who have asked for an address of r.
func (p *Porter) asked(r *entry) {
	now := time.Now()
	for who, ip := range r.target.TakeRequesters() {
		r.nic.reminders.add(now, who, ip)
	}
}

// remind tells an asker that the address is at our MAC, if we still answer for it.
func (n *nic) remind(g handover.Guest) {
	if a := n.reader.View().Address(g.Addr); a != nil && a.AnsweredTo(g.MAC) {
		n.guide(g, n.MAC())
	}
}
