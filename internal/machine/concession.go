package machine

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"
)

// concession is an address of the machine that was left to another host. That
// host may give it up, or be another porter that gave way to us in the same
// instant: then nobody would answer for the machine any more. So while the
// machine sleeps everybody is asked for the address again after a while, as
// before a claim (RFC 5227 section 2.1). These are ordinary questions from our
// own address: a host that uses it answers, and is not disturbed.
type concession struct {
	addr  netip.Addr
	next  time.Time // when to ask; looked at only in Asleep
	asked int       // questions out since the last sign of another user
	looks int       // how often that has ended with the other host there
}

// The wait before a look is drawn from a span of probe intervals that begins
// with firstWait, and doubles with each look that finds the other host there, up
// to longestWait: two porters soon agree, and a host that stays is hardly asked.
const (
	firstWait   = 8
	longestWait = 64
)

// wait returns how long c is left alone. It is between one and two spans, and
// differs between porters: of two that gave way to each other one asks first, and
// answers when the other does. Should they draw the same, they draw anew after
// the conflict that follows.
func (m *Machine) wait(c *concession) time.Duration {
	span := uint64(min(firstWait<<min(c.looks, 10), longestWait)) * uint64(m.policy.ProbeInterval)
	h := fnv.New64a()
	h.Write(c.addr.AsSlice())
	for _, n := range []uint64{m.policy.Porter, m.tally.Conflicts, uint64(c.looks)} {
		h.Write(binary.BigEndian.AppendUint64(nil, n))
	}
	return time.Duration(span + h.Sum64()%span)
}

// concede notes that an address was left to another host.
func (m *Machine) concede(now time.Time, ip netip.Addr) {
	c := concession{addr: ip}
	c.next = now.Add(m.wait(&c))
	m.concessions = append(m.concessions, c)
}

// concession returns what is known of an address that was left to another host,
// or nil for one that was not.
func (m *Machine) concession(ip netip.Addr) *concession {
	i := slices.IndexFunc(m.concessions, func(c concession) bool { return c.addr == ip })
	if i < 0 {
		return nil
	}
	return &m.concessions[i]
}

// Conceded reports whether an address of the machine was left to another host.
func (m *Machine) Conceded(ip netip.Addr) bool { return m.concession(ip) != nil }

// stillUsed notes a sign of the other host.
func (m *Machine) stillUsed(now time.Time, c *concession) {
	if c.asked > 0 {
		c.looks++
	}
	m.lookLater(now, c)
}

// lookLater leaves c alone for another wait.
func (m *Machine) lookLater(now time.Time, c *concession) {
	c.asked = 0
	c.next = now.Add(m.wait(c))
}

// nextLook returns when the next question is due, or the zero time.
func (m *Machine) nextLook() (next time.Time) {
	for _, c := range m.concessions {
		next = earlier(next, c.next)
	}
	return next
}

// tickAsleep asks for addresses that were left to others, and takes back those
// for which nobody has answered.
func (m *Machine) tickAsleep(now time.Time) {
	var free []netip.Addr
	for i := range m.concessions {
		c := &m.concessions[i]
		switch {
		case now.Before(c.next):
		case c.asked >= m.policy.ProbeMisses:
			free = append(free, c.addr)
		default:
			c.asked++
			c.next = now.Add(m.policy.ProbeInterval)
			m.do(Ask{Addr: c.addr})
		}
	}
	if len(free) > 0 {
		m.reclaim(free)
	}
}

// reclaim takes addresses that turned out to be nobody's.
func (m *Machine) reclaim(addrs []netip.Addr) {
	m.concessions = slices.DeleteFunc(m.concessions, func(c concession) bool { return slices.Contains(addrs, c.addr) })
	m.claimed = slices.Concat(m.claimed, addrs)
	m.kept = slices.Concat(m.kept, addrs)
	for _, ip := range addrs {
		m.do(ConflictOver{Addr: ip})
	}
	m.do(Claim{Addrs: addrs})
}

// breakOff ends looks that are under way. What was asked before the machine
// spoke, or before its wake, says nothing about the time after it.
func (m *Machine) breakOff() {
	for i := range m.concessions {
		m.concessions[i].asked = 0
	}
}
