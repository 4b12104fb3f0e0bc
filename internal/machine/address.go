package machine

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/ether"
)

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

// recheck is how an address is looked at that is to be claimed while its machine
// sleeps: it was left to another host, or had no place before. All hosts are asked
// for it some times, as before any claim (RFC 5227 section 2.1). These are
// ordinary questions from our own address: a host that uses it answers, and is not
// disturbed.
type recheck struct {
	next  time.Time // of the next question; zero: none is due
	asked int       // questions since the last sign of another user
	found int       // how often that ended with the other host there
}

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

// reaches reports whether clients may still send packets for the address to us.
func (a *address) reaches() bool { return a.standing == Claimed || a.standing == Returned }

// addresses are all of one machine, in the order of its registration.
type addresses struct {
	all       []address
	nextProbe time.Time // when to ask for returned ones that are not in use

	machine *Machine // whose they are; for its settings and its actions
}

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

// yielding reports whether the machine speaks for a claimed address.
func (as *addresses) yielding() bool {
	return slices.ContainsFunc(as.all, func(a address) bool { return !a.yielded.IsZero() })
}

// endTests ends every series of tests: the machine is up.
func (as *addresses) endTests() {
	for i := range as.all {
		as.all[i].tests = series{}
	}
}

func claimed(a *address) bool { return a.standing == Claimed }

// looksFor reports whether a returned address has not been seen in use.
func unseen(a *address) bool { return a.standing == Returned && !a.announced }

// register takes in the addresses of a registration. What is known of one that was
// there before stays known.
func (as *addresses) register(monitor []Address) {
	all := make([]address, len(monitor))
	for i, a := range monitor {
		if old := as.of(a.IP); old != nil {
			all[i] = *old
			all[i].answered = old.answered && old.MAC == a.MAC
		}
		all[i].Address = a
	}
	as.all = all
}

// test takes a test of an address: the machine may pause before the next frame.
func (p *presence) test(now time.Time, a *address) {
	if own, all := a.tests.note(now), p.tests.note(now); own < testTime && all < 2*testTime {
		p.since = now
	}
}
