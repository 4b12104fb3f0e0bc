package machine

import (
	"net/netip"
	"slices"
	"time"
)

// Standing is how one address of a machine stands.
type Standing uint8

// The standings.
const (
	Own      Standing = iota // the machine has it
	Claimed                  // we answer for it
	Returned                 // the machine has it again; clients may still send to us
	Conceded                 // left to another host
	Waiting                  // it cannot be claimed at present
)

var standingNames = [...]string{"own", "claimed", "returned", "conceded", "waiting"}

// String returns the standing's name as the API shows it.
func (s Standing) String() string {
	if int(s) >= len(standingNames) {
		return "standing"
	}
	return standingNames[s]
}

// MarshalText implements encoding.TextMarshaler.
func (s Standing) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// AddressStatus tells how one address stands, and why it waits.
type AddressStatus struct {
	IP       netip.Addr
	Standing Standing
	Reason   string
}

const (
	// AnnouncedFor bounds how long an Announce takes with its repetitions.
	AnnouncedFor = 8 * time.Second

	// lookFor is how long we look for an address after its return. A start that
	// tests its addresses is over in 9 s (RFC 5227 section 1.1).
	lookFor = 20 * time.Second

	// awayTime is how long a claim outlives the network it was made on: our own
	// address there may be gone for a moment.
	awayTime = time.Minute
)

// unprovedReason is why an address waits that its machine has not answered for.
const unprovedReason = "the machine has not answered for it yet"

// address is one address of a machine and where it is in its life.
type address struct {
	Address
	standing Standing
	reason   string    // why it cannot be claimed at present; empty: it can
	unproved bool      // the machine has to answer for it before it is claimed
	answered bool      // it has, or need not
	away     time.Time // of a claimed one with a reason: since when
	yielded  time.Time // of a claimed one: since when the machine speaks for it; zero: it does not
	inUse    bool      // the machine uses it since it came up

	announced bool      // of a returned one: its machine was seen to use it
	until     time.Time // of a returned one: the end of the return

	recheck recheck
}

// status returns what is shown of the address.
func (a *address) status() AddressStatus {
	s := AddressStatus{IP: a.IP, Standing: a.standing, Reason: a.reason}
	if s.Reason == "" && a.unproved {
		s.Reason = unprovedReason
	}
	if s.Standing == Own && s.Reason != "" {
		s.Standing = Waiting
	}
	return s
}

// claimable reports whether the address may be claimed.
func (a *address) claimable() bool { return a.reason == "" && !a.unproved && a.standing != Conceded }

// addresses are all of one machine, in the order of its registration.
type addresses []address

// of returns one address, or nil.
func (as addresses) of(ip netip.Addr) *address {
	if i := slices.IndexFunc(as, func(a address) bool { return a.IP == ip }); i >= 0 {
		return &as[i]
	}
	return nil
}

// which returns the addresses that match.
func (as addresses) which(match func(*address) bool) []netip.Addr {
	var ips []netip.Addr
	for i := range as {
		if match(&as[i]) {
			ips = append(ips, as[i].IP)
		}
	}
	return ips
}

func claimed(a *address) bool { return a.standing == Claimed }

// Claimed returns the addresses that are held for the machine.
func (m *Machine) Claimed() []netip.Addr { return m.addrs.which(claimed) }

// Answered returns the addresses that the readers answer for.
func (m *Machine) Answered() []netip.Addr {
	return m.addrs.which(func(a *address) bool { return a.standing == Claimed && a.yielded.IsZero() })
}

// Conceded reports whether an address of the machine was left to another host.
func (m *Machine) Conceded(ip netip.Addr) bool {
	a := m.addrs.of(ip)
	return a != nil && a.standing == Conceded
}

// Holds reports whether an address is the machine's, as far as is known: it neither
// waits nor was left to another host.
func (m *Machine) Holds(ip netip.Addr) bool {
	a := m.addrs.of(ip)
	return a != nil && (a.claimable() || claimed(a))
}

// reaches reports whether clients may still send packets for the machine to us.
func (m *Machine) reaches() bool {
	return slices.ContainsFunc(m.addrs, func(a address) bool { return a.standing == Claimed || a.standing == Returned })
}

// claimAll claims what may be claimed for a machine that is off, and answers again
// for what it spoke for. What is claimed already is announced anew: when the machine
// spoke, that had to stop.
func (m *Machine) claimAll(announceAfter time.Duration) {
	var ips []netip.Addr
	for i := range m.addrs {
		a := &m.addrs[i]
		switch {
		case a.standing == Claimed || a.claimable():
			a.standing, a.yielded, a.inUse = Claimed, time.Time{}, false
			ips = append(ips, a.IP)
		case a.standing == Returned:
			m.endClaim(a)
		}
	}
	if len(ips) > 0 {
		m.do(Claim{Addrs: ips, AnnounceAfter: announceAfter})
	}
}

// yield stops answering for an address that the machine speaks for.
func (m *Machine) yield(now time.Time, as ...*address) {
	var ips []netip.Addr
	for _, a := range as {
		if a.standing == Claimed && a.yielded.IsZero() {
			a.yielded = now
			ips = append(ips, a.IP)
		}
	}
	if len(ips) > 0 {
		m.do(Yield{Addrs: ips})
	}
}

// yieldAll stops answering for a machine that is up.
func (m *Machine) yieldAll(now time.Time) {
	all := make([]*address, len(m.addrs))
	for i := range m.addrs {
		all[i] = &m.addrs[i]
	}
	m.yield(now, all...)
}

// returnAll gives a machine that is up its addresses back. While it still tests
// one, a packet that says who has it would make the test fail, even one that names
// the machine itself (RFC 4862 section 5.4.4, RFC 5227 section 2.1.1). So each is
// announced once it is in use.
func (m *Machine) returnAll(now time.Time) {
	held := m.Claimed()
	if len(held) == 0 {
		return
	}
	m.do(Release{Addrs: held})
	for i := range m.addrs {
		a := &m.addrs[i]
		if a.standing != Claimed {
			continue
		}
		a.standing, a.announced, a.until, a.yielded, a.away = Returned, false, now.Add(lookFor), time.Time{}, time.Time{}
		if a.inUse {
			m.announce(now, a)
		}
	}
	m.nextLook = now
}

// announce tells the LAN that the machine has a returned address.
func (m *Machine) announce(now time.Time, a *address) {
	a.announced, a.until = true, now.Add(AnnouncedFor)
	m.do(Announce{Addrs: []netip.Addr{a.IP}})
}

// giveBack releases and announces every address of a machine that uses its
// addresses, or is off and no longer looked after.
func (m *Machine) giveBack(now time.Time) {
	for i := range m.addrs {
		m.addrs[i].inUse = m.addrs[i].standing == Claimed
	}
	m.returnAll(now)
}

// endClaim ends what began with the claim of an address.
func (m *Machine) endClaim(a *address) {
	if a.standing == Claimed {
		m.do(Release{Addrs: []netip.Addr{a.IP}})
	}
	a.standing, a.yielded, a.away = Own, time.Time{}, time.Time{}
	m.do(EndClaim{Addrs: []netip.Addr{a.IP}})
}

// endReturns ends every return at once.
func (m *Machine) endReturns() {
	for i := range m.addrs {
		if m.addrs[i].standing == Returned {
			m.endClaim(&m.addrs[i])
		}
	}
}

// uses notes that the machine uses an address.
func (m *Machine) uses(now time.Time, a *address) {
	a.inUse = true
	if a.standing == Returned && !a.announced {
		m.announce(now, a)
	}
}

// tests notes that the machine tests an address, perhaps one that its firmware
// has used before.
func (m *Machine) tests(now time.Time, a *address) {
	a.inUse = false
	if a.standing == Returned && a.announced {
		a.announced, a.until = false, now.Add(lookFor)
		m.nextLook = now
		m.do(StopAnnouncing{Addrs: []netip.Addr{a.IP}})
	}
}

// looksFor reports whether a returned address has not been seen in use.
func looksFor(a *address) bool { return a.standing == Returned && !a.announced }

// nextReturn returns when tickReturns is due, or the zero time.
func (m *Machine) nextReturn() (next time.Time) {
	for i := range m.addrs {
		if a := &m.addrs[i]; a.standing == Returned {
			next = earlier(next, a.until)
			if looksFor(a) && m.state == Awake { // while it settles it is asked anyway
				next = earlier(next, m.nextLook)
			}
		}
	}
	return next
}

// tickReturns ends returns whose time is over, and asks an awake machine for
// addresses that it has not shown yet.
func (m *Machine) tickReturns(now time.Time) {
	for i := range m.addrs {
		if a := &m.addrs[i]; a.standing == Returned && !now.Before(a.until) {
			m.endClaim(a)
		}
	}
	if m.state == Awake && !now.Before(m.nextLook) {
		if ips := m.addrs.which(looksFor); len(ips) > 0 {
			m.ask(now, ips, false)
			m.nextLook = now.Add(arrivalPace)
		}
	}
}

// placed takes in where the addresses can be claimed now. A claim outlives a gap
// of its network, unless the address must not be claimed.
func (m *Machine) placed(now time.Time, places []Place) {
	for _, p := range places {
		a := m.addrs.of(p.Addr)
		if a == nil {
			continue
		}
		before := a.reason
		a.reason = p.Reason
		a.unproved = a.unproved || p.Unproved && !a.answered
		switch {
		case a.reason == "":
			a.away = time.Time{}
			if before != "" {
				m.claimableAgain(now, a)
			}
		case p.Forbidden && (a.standing == Claimed || a.standing == Returned):
			m.endClaim(a)
		case a.standing == Claimed && a.away.IsZero():
			a.away = now
		}
		if before != a.reason {
			m.do(AddressWaits{Addr: a.IP, Reason: a.reason})
		}
	}
	switch {
	case m.state == Awake && m.presence.next.IsZero():
		m.beginWatch(now)
	case m.state == Settling && m.presence.asked.IsZero() && len(m.questioned()) > 0:
		m.presence.next = now // it could not be asked before
	}
}

// claimableAgain has an address of a machine that sleeps claimed, once all hosts
// have been asked for it.
func (m *Machine) claimableAgain(now time.Time, a *address) {
	if m.state == Asleep && a.standing == Own && a.claimable() {
		a.recheck = recheck{next: now}
	}
}

// tickAway ends claims whose network is gone for good.
func (m *Machine) tickAway(now time.Time) {
	for i := range m.addrs {
		if a := &m.addrs[i]; a.standing == Claimed && !a.away.IsZero() && now.Sub(a.away) >= awayTime {
			m.endClaim(a)
		}
	}
}

func (m *Machine) nextAway() (next time.Time) {
	for i := range m.addrs {
		if a := &m.addrs[i]; a.standing == Claimed && !a.away.IsZero() {
			next = earlier(next, a.away.Add(awayTime))
		}
	}
	return next
}
