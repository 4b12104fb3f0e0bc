package machine

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/ether"
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

// Standings lists every standing.
var Standings = [...]Standing{Own, Claimed, Returned, Conceded, Waiting}

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

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Standing) UnmarshalText(b []byte) error {
	i := slices.Index(standingNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("standing: found %q, expected one of %v", b, Standings)
	}
	*s = Standing(i)
	return nil
}

// AddressStatus tells how one address stands, and why it cannot be claimed.
type AddressStatus struct {
	IP       netip.Addr
	MAC      ether.MAC // of a guest
	Standing Standing
	Reason   string
}

const (
	// AnnouncedFor bounds how long an Announce takes with its repetitions.
	AnnouncedFor = 8 * time.Second

	// lookFor is how long we look for an address after its return. A start that
	// tests its addresses is over in 9 s (RFC 5227 section 1.1).
	seekTime = 20 * time.Second

	// awayTime is how long a claim outlives the network it was made on: our own
	// address there may be gone for a moment.
	awayTime = time.Minute
)

// The reasons that lie in the machine's own life.
const (
	unprovedReason = "the machine has not answered for it yet"
	hostedReason   = "its guest has not answered for it yet"
	concededReason = "another host uses it"
)

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
	proved   bool      // it has answered for it since the claim
	tests    series    // of the machine, whether it may use it
	rival    ether.MAC // of a conceded one: the host that uses it; zero: not known since a restart

	announced bool      // of a returned one: its machine was seen to use it
	until     time.Time // of a returned one: the end of the return

	recheck recheck
}

// status returns what is shown of the address.
func (a *address) status() AddressStatus {
	s := AddressStatus{IP: a.IP, MAC: a.MAC, Standing: a.standing, Reason: a.reason}
	if s.Reason == "" && a.unproved {
		s.Reason = unprovedReason
		if a.Hosted() {
			s.Reason = hostedReason
		}
	}
	switch {
	case s.Standing == Own && s.Reason != "":
		s.Standing = Waiting
	case s.Standing == Conceded && s.Reason == "":
		s.Reason = concededReason
		if a.rival != (ether.MAC{}) {
			s.Reason += ", " + a.rival.String()
		}
	}
	return s
}

// claimable reports whether the address may be claimed.
func (a *address) claimable() bool { return a.reason == "" && !a.unproved && a.standing != Conceded }

// addresses are all of one machine, in the order of its registration.
type addresses struct {
	all       []address
	nextProbe time.Time // when to ask for returned ones that are not in use

	machine *Machine // whose they are; for its settings and its actions
}

func (as *addresses) do(a Action) { as.machine.do(a) }

// of returns one address, or nil.
func (as *addresses) of(ip netip.Addr) *address {
	if i := slices.IndexFunc(as.all, func(a address) bool { return a.IP == ip }); i >= 0 {
		return &as.all[i]
	}
	return nil
}

// which returns the addresses that match.
func (as *addresses) which(match func(*address) bool) []netip.Addr {
	var ips []netip.Addr
	for i := range as.all {
		if match(&as.all[i]) {
			ips = append(ips, as.all[i].IP)
		}
	}
	return ips
}

func claimed(a *address) bool { return a.standing == Claimed }

// Claimed returns the addresses that are held for the machine.
func (m *Machine) Claimed() []netip.Addr { return m.addrs.which(claimed) }

// Guarded returns the addresses that our own kernel is kept silent about: what is
// claimed, or was until a moment ago.
func (m *Machine) Guarded() []netip.Addr {
	return m.addrs.which((*address).reaches)
}

// Answered returns the addresses that the readers answer for.
func (m *Machine) Answered() []netip.Addr {
	return m.addrs.which(func(a *address) bool { return a.standing == Claimed && a.yielded.IsZero() })
}

// Conceded reports whether an address of the machine was left to another host.
func (m *Machine) Conceded(ip netip.Addr) bool {
	a := m.addrs.of(ip)
	return a != nil && a.standing == Conceded
}

// HasAddress reports whether an address is the machine's, as far as is known: it neither
// waits nor was left to another host.
func (m *Machine) HasAddress(ip netip.Addr) bool {
	a := m.addrs.of(ip)
	return a != nil && (a.claimable() || claimed(a))
}

// Probes reports whether the address is probed: it has a place.
func (m *Machine) Probes(ip netip.Addr) bool {
	a := m.addrs.of(ip)
	return a != nil && a.reason == ""
}

// reaches reports whether clients may still send packets for the address to us.
func (a *address) reaches() bool { return a.standing == Claimed || a.standing == Returned }

// claimAll claims what may be claimed for a machine that is off, and answers again
// for what it spoke for. What is claimed already is announced anew, unless the claim is
// quiet: when the machine spoke, that had to stop.
func (as *addresses) claimAll(c Claim) {
	for i := range as.all {
		a := &as.all[i]
		switch {
		case a.standing == Claimed || a.claimable():
			a.standing, a.yielded, a.inUse, a.proved = Claimed, time.Time{}, false, false
			c.Addrs = append(c.Addrs, a.IP)
		case a.standing == Returned:
			as.endClaim(a)
		}
	}
	if len(c.Addrs) > 0 {
		as.do(c)
	}
}

// yield stops answering for an address that the machine speaks for.
func (as *addresses) yield(now time.Time, some ...*address) {
	var ips []netip.Addr
	for _, a := range some {
		if a.standing == Claimed && a.yielded.IsZero() {
			a.yielded = now
			ips = append(ips, a.IP)
		}
	}
	if len(ips) > 0 {
		as.do(Yield{Addrs: ips})
	}
}

// yielding reports whether the machine speaks for a claimed address.
func (as *addresses) yielding() bool {
	return slices.ContainsFunc(as.all, func(a address) bool { return !a.yielded.IsZero() })
}

// yieldAll stops answering for a machine that is up.
func (as *addresses) yieldAll(now time.Time) {
	every := make([]*address, len(as.all))
	for i := range as.all {
		every[i] = &as.all[i]
	}
	as.yield(now, every...)
}

// returnAll gives a machine that is up its addresses back. While it still tests
// one, a packet that says who has it would make the test fail, even one that names
// the machine itself (RFC 4862 section 5.4.4, RFC 5227 section 2.1.1). So each is
// announced once it is in use.
func (as *addresses) returnAll(now time.Time) {
	held := as.machine.Claimed()
	if len(held) == 0 {
		return
	}
	as.do(Release{Addrs: held})
	for i := range as.all {
		a := &as.all[i]
		if a.standing != Claimed {
			continue
		}
		a.standing, a.announced, a.until, a.yielded, a.away = Returned, false, now.Add(seekTime), time.Time{}, time.Time{}
		if a.inUse {
			as.announce(now, a)
		}
	}
	as.nextProbe = now
}

// announce tells the LAN that the machine has a returned address.
func (as *addresses) announce(now time.Time, a *address) {
	a.announced, a.until = true, now.Add(AnnouncedFor)
	as.do(Announce{Addrs: []netip.Addr{a.IP}})
}

// giveBack releases every address of a machine that uses its addresses, or is off
// and no longer looked after, and announces them but for those that it may test.
func (as *addresses) returnAddresses(now time.Time) {
	for i := range as.all {
		a := &as.all[i]
		a.inUse = a.inUse || a.yielded.IsZero()
	}
	as.returnAll(now)
}

// endClaim ends what began with the claim of an address.
func (as *addresses) endClaim(a *address) {
	if a.standing == Claimed {
		as.do(Release{Addrs: []netip.Addr{a.IP}})
	}
	a.standing, a.yielded, a.away = Own, time.Time{}, time.Time{}
	as.do(EndClaim{Addrs: []netip.Addr{a.IP}})
}

// endReturns ends every return at once.
func (as *addresses) endReturns() {
	for i := range as.all {
		if as.all[i].standing == Returned {
			as.endClaim(&as.all[i])
		}
	}
}

// uses notes that the machine uses an address.
func (as *addresses) noteUse(now time.Time, a *address) {
	a.inUse = true
	if a.standing == Returned && !a.announced {
		as.announce(now, a)
	}
}

// endTests ends every series of tests: the machine is up.
func (as *addresses) endTests() {
	for i := range as.all {
		as.all[i].tests = series{}
	}
}

// tests notes that the machine tests an address, perhaps one that its firmware
// has used before.
func (as *addresses) noteTest(now time.Time, a *address) {
	a.inUse = false
	if a.standing == Returned && a.announced {
		a.announced, a.until = false, now.Add(seekTime)
		as.nextProbe = now
		as.do(StopAnnouncing{Addrs: []netip.Addr{a.IP}})
	}
}

// looksFor reports whether a returned address has not been seen in use.
func unseen(a *address) bool { return a.standing == Returned && !a.announced }

// asks reports whether a machine that is up is asked for returned addresses.
func (as *addresses) probesReturned() bool {
	return as.machine.state == Awake && !as.machine.isPaused()
}

// nextReturn returns when tickReturns is due, or the zero time.
func (as *addresses) nextReturn() (next time.Time) {
	for i := range as.all {
		if a := &as.all[i]; a.standing == Returned {
			next = earlier(next, a.until)
			if unseen(a) && as.probesReturned() { // while it settles it is asked anyway
				next = earlier(next, as.nextProbe)
			}
		}
	}
	return next
}

// tickReturns ends returns whose time is over, and returns the addresses that a
// machine which is awake has not shown yet.
func (as *addresses) tickReturns(now time.Time) (ask []netip.Addr) {
	for i := range as.all {
		if a := &as.all[i]; a.standing == Returned && !now.Before(a.until) {
			as.endClaim(a)
		}
	}
	if !as.probesReturned() || now.Before(as.nextProbe) {
		return nil
	}
	as.nextProbe = now.Add(arrivalPace)
	return as.which(unseen)
}

// placed takes in where the addresses can be claimed now. A claim outlives a gap
// of its network, unless the address must not be claimed.
func (as *addresses) placed(now time.Time, places []Place) {
	for _, p := range places {
		a := as.of(p.Addr)
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
				as.claimableAgain(now, a)
			}
		case p.Forbidden && (a.standing == Claimed || a.standing == Returned):
			as.endClaim(a)
		case a.standing == Claimed && a.away.IsZero():
			a.away = now
		}
	}
}

// claimableAgain has an address of a machine that sleeps claimed, once all hosts
// have been asked for it.
func (as *addresses) claimableAgain(now time.Time, a *address) {
	if as.machine.state == Asleep && a.standing == Own && a.claimable() {
		a.recheck = recheck{next: now}
	}
}

// tickAway ends claims whose network is gone for good.
func (as *addresses) tickAway(now time.Time) {
	for i := range as.all {
		if a := &as.all[i]; a.standing == Claimed && !a.away.IsZero() && now.Sub(a.away) >= awayTime {
			as.endClaim(a)
		}
	}
}

func (as *addresses) nextAway() (next time.Time) {
	for i := range as.all {
		if a := &as.all[i]; a.standing == Claimed && !a.away.IsZero() {
			next = earlier(next, a.away.Add(awayTime))
		}
	}
	return next
}
