package porter

import (
	"net/netip"
	"sync"
	"time"

	"nightporter/internal/due"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// asker is a neighbour that asked everybody for an address.
type asker struct {
	addr netip.Addr // of the machine
	mac  machine.MAC
}

// askers are those that the loop has not heard of, with their own address.
type askers struct {
	mu  sync.Mutex
	are map[asker]netip.Addr
}

// mostAskers bounds who is told where a machine is, of one machine and of all on
// an interface: a flood of invented askers must not fill the memory. Who finds no
// room is left with the answer that came first.
const mostAskers = 256

// add notes an asker, if there is room.
func (a *askers) add(who asker, ip netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.are == nil {
		a.are = make(map[asker]netip.Addr)
	}
	if _, known := a.are[who]; known || len(a.are) < mostAskers {
		a.are[who] = ip
	}
}

// take returns all, and forgets them.
func (a *askers) take() map[asker]netip.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	are := a.are
	a.are = nil
	return are
}

// rivalled takes a question to everybody that we have answered for a machine whose
// network card answers it too. The asker keeps one of the two answers.
func (r *reader) rivalled(a *address, p *lan.Packet) {
	if !a.card.Load() || p.Dst == r.responder.Self || p.From.IsUnspecified() {
		return
	}
	a.askers.add(asker{a.ip, p.Src}, p.From)
	r.report(&a.asked, sighting{kind: sawAsked, watch: a.watch})
}

// remindAt is when somebody who has asked is told once more who has the address.
// Linux ignores a second ordinary reply within a second (locktime) and takes the
// last of two advertisements, so that it is left with the card's answer in half of
// all cases; what it is told by itself counts at once. A card may be slow.
var remindAt = [...]time.Duration{50 * time.Millisecond, 300 * time.Millisecond, 1100 * time.Millisecond}

// reminders are whom to tell once more on one interface, and when. The zero value
// is empty. It is the loop's own.
type reminders struct {
	queue due.Queue[asker]
	told  map[asker]*reminder
}

type reminder struct {
	ip    netip.Addr // of the asker
	since time.Time
	sent  int
}

// add has an asker be reminded from now on, or anew.
func (q *reminders) add(now time.Time, who asker, ip netip.Addr) {
	r := q.told[who]
	if r == nil {
		if len(q.told) >= mostAskers {
			return
		}
		if q.told == nil {
			q.told = make(map[asker]*reminder)
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
		remind(handover.Guest{Addr: who.addr, MAC: who.mac, IP: r.ip})
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
	for who, ip := range r.watch.askers.take() {
		r.nic.reminders.add(now, who, ip)
	}
}

// remind tells an asker that the address is at our MAC, if we still answer for it.
func (n *nic) remind(g handover.Guest) {
	if a := n.reader.view.Load().addrs[g.Addr]; a != nil && (a.answer.Load() || a.hold.Waits(g.Addr, g.MAC)) {
		n.guide(g, n.MAC())
	}
}
