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

	// seekTime is how long a returned address is probed for. A start that
	// tests its addresses is over in 9 s (RFC 5227 section 1.1).
	seekTime = 20 * time.Second

	// awayTime is how long a claim outlives its network: the porter's own address there
	// may be gone for a moment.
	awayTime = time.Minute
)

// The reasons that depend on the machine.
const (
	unprovedReason = "the machine has not answered for it yet"
	guestReason    = "its guest has not answered for it yet"
	concededReason = "another host uses it"
)

// recheck is the state of the check of an address that will be claimed while the
// machine sleeps: it was conceded, or had no place. The porter broadcasts ordinary
// requests for it, as before any claim (RFC 5227 section 2.1); a host that uses the
// address answers and is not disturbed.
type recheck struct {
	next     time.Time // of the next probe; zero: none is due
	requests int       // since the last sign of another user
	found    int       // how often the other host was found
}

// address is one address of a machine and its state.
type address struct {
	Address
	standing Standing
	reason   string    // why it cannot be claimed at present; empty: it can
	unproved bool      // the machine must answer for it before it is claimed
	answered bool      // the machine has answered for it, or need not
	away     time.Time // claimed: since when its network is gone; zero: it is there
	yielded  time.Time // claimed: since when the machine answers for it; zero: it does not
	inUse    bool      // the machine uses it since it came up
	proved   bool      // the machine has answered for it since the claim
	tests    series    // the machine's tests of the address
	rival    ether.MAC // conceded: the host that uses it; zero: not known since a restart

	announced bool      // returned: the machine was seen to use it
	until     time.Time // returned: the end of the return

	recheck recheck
}

// status returns the address as the API shows it.
func (a *address) status() AddressStatus {
	s := AddressStatus{IP: a.IP, MAC: a.MAC, Standing: a.standing, Reason: a.reason}
	if s.Reason == "" && a.unproved {
		s.Reason = unprovedReason
		if a.Guest() {
			s.Reason = guestReason
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

// reaches reports whether clients may still send packets for the address to the
// porter.
func (a *address) reaches() bool { return a.standing == Claimed || a.standing == Returned }

// addresses are the addresses of one machine, in the order of its registration.
type addresses struct {
	all       []address
	nextProbe time.Time // when to probe returned addresses that are not in use

	machine *Machine // the owner, for its policy and actions
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

// yielding reports whether an address is yielded.
func (as *addresses) yielding() bool {
	return slices.ContainsFunc(as.all, func(a address) bool { return !a.yielded.IsZero() })
}

// endTests ends all series of tests: the machine is up.
func (as *addresses) endTests() {
	for i := range as.all {
		as.all[i].tests = series{}
	}
}

func claimed(a *address) bool { return a.standing == Claimed }

// unseen reports whether the machine has not used the returned address yet.
func unseen(a *address) bool { return a.standing == Returned && !a.announced }

// register replaces the addresses by those of a registration. An address that was
// there before keeps its state.
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

// test handles a test of an address: the machine may pause before its next frame.
func (p *presence) test(now time.Time, a *address) {
	if own, all := a.tests.note(now), p.tests.note(now); own < testTime && all < 2*testTime {
		p.since = now
	}
}
