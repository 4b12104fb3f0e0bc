package machine_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/machine"
)

// wantStandings compares how the IPv4 and the IPv6 address stand.
func (l *life) wantStandings(four, six machine.Standing) *life {
	l.t.Helper()
	var got []machine.Standing
	for _, a := range l.m.Status().Addresses {
		got = append(got, a.Standing)
	}
	if want := []machine.Standing{four, six}; !slices.Equal(got, want) {
		l.t.Fatalf("the addresses are %v, want %v", got, want)
	}
	return l
}

// register6Waits is a registration of which the IPv6 address cannot be claimed yet.
var register6Waits = machine.Registered{Spec: spec(), Places: []machine.Place{{Addr: ip6, Reason: noNetwork}}}

var recheck6 = machine.Recheck{Addr: ip6}

// TestOneAddressWaits: the other is claimed and served, and the
// first as soon as it can be.
func TestOneAddressWaits(t *testing.T) {
	waits := machine.AddressWaits{Addr: ip6, Reason: noNetwork}
	l := newLife(t, nil).event(register6Waits).pass(3*s).want(machine.Asleep).wantActions(waits, machine.Claim{Addrs: only4})
	l.wantStandings(machine.Claimed, machine.Waiting)
	want := machine.AddressStatus{IP: ip6, Standing: machine.Waiting, Reason: noNetwork}
	if d := cmp.Diff(want, l.m.Status().Addresses[1], cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, p := range actions[machine.Probe](newLife(t, nil).event(register6Waits).pass(3 * s)) {
		if !slices.Equal(p.Addrs, only4) {
			t.Errorf("asked for %v", p.Addrs)
		}
	}
	// It gets a network while the machine sleeps: all hosts are asked, and it is claimed.
	l.event(free(ip4, ip6)).pass(time.Minute).wantStandings(machine.Claimed, machine.Claimed).
		wantActions(recheck6, recheck6, recheck6, machine.Claim{Addrs: only6})
	l.event(free(ip4, ip6)).pass(time.Minute).wantActions()

	// Another host has taken it meanwhile: it is left to that one.
	l = newLife(t, nil).event(register6Waits).pass(3 * s).event(free(ip6)).pass(500 * time.Millisecond).event(machine.Conflicted{Addr: ip6, By: otherMAC})
	l.pass(2*s).wantStandings(machine.Claimed, machine.Conceded)
	// It gets a network while the machine is woken, and the wake fails.
	l = newLife(t, nil).event(register6Waits).pass(3*s).event(knockSSH, free(ip6)).pass(s).wantStandings(machine.Claimed, machine.Own)
	l.pass(46*s).want(machine.Asleep).wantStandings(machine.Claimed, machine.Claimed)
	// It cannot be asked for: it is tried again.
	l = newLife(t, nil).event(register6Waits).pass(3 * s).event(free(ip6)).pass(0).event(machine.RecheckFailed{Addr: ip6})
	l.pass(5*s).wantStandings(machine.Claimed, machine.Claimed)
	// It is gone again before that.
	l = newLife(t, nil).event(register6Waits).pass(3 * s).event(free(ip6)).pass(0).event(waits6)
	l.pass(5*s).wantStandings(machine.Claimed, machine.Waiting)
}

var waits6 = waits(ip6)

// TestRestartBeforeTheNetwork: each address is claimed within 2 s
// of the moment when its network is there.
func TestRestartBeforeTheNetwork(t *testing.T) {
	back := func() *life { return asleep(t, nil).pass(time.Hour).away(time.Minute) }
	l := back().event(waits6).pass(2*s).want(machine.Asleep).wantStandings(machine.Claimed, machine.Waiting)
	l.pass(5*s).event(free(ip6)).pass(2*s).wantStandings(machine.Claimed, machine.Claimed)

	for _, missing := range []time.Duration{5 * s, time.Minute, 24 * time.Hour} {
		l = back().event(waits(ip4), waits6)
		before := l.m.Status()
		l.pass(missing).want(machine.Settling).wantStandings(machine.Waiting, machine.Waiting)
		l.event(free(ip4, ip6)).pass(2*s).want(machine.Asleep).wantStandings(machine.Claimed, machine.Claimed)
		after := l.m.Status()
		if slept := after.Slept(l.now) - before.Slept(l.now); slept < missing {
			t.Errorf("slept %v of %v", slept, missing)
		}
		if before.Slept(l.now) < time.Hour {
			t.Errorf("slept %v in total before its network was there", before.Slept(l.now))
		}
	}
}

// TestAClaimOutlivesItsNetwork for a minute: our own address may be gone for a
// moment. Then the claim ends, and the address waits.
func TestAClaimOutlivesItsNetwork(t *testing.T) {
	l := asleep(t, nil).event(waits6).pass(59*s).event(waits6).wantStandings(machine.Claimed, machine.Claimed).wantActions()
	l.pass(s).wantStandings(machine.Claimed, machine.Waiting).wantActions(machine.Release{Addrs: only6}, end6)
	l.event(free(ip6)).pass(2*s).wantStandings(machine.Claimed, machine.Claimed)

	// Back within the minute, nothing happens.
	l = asleep(t, nil).event(waits6).pass(59 * s).event(free(ip6)).forget().pass(time.Hour).wantActions()
	l.wantStandings(machine.Claimed, machine.Claimed)

	// It is woken meanwhile, without an address to be asked for at first.
	l = asleep(t, nil).event(waits(ip4), waits6, knockSSH).pass(s).event(free(ip4, ip6)).up(s).want(machine.Arriving)
	l.event(ready).want(machine.Awake)
}

// TestAForbiddenAddressIsGivenUpAtOnce, such as one that became our own.
func TestAForbiddenAddressIsGivenUpAtOnce(t *testing.T) {
	const ours = "our own address"
	forbidden := machine.Placed{Places: []machine.Place{{Addr: ip4, Reason: ours, Forbidden: true}}}
	l := asleep(t, nil).event(forbidden).wantActions(machine.Release{Addrs: only4}, end4)
	l.wantStandings(machine.Waiting, machine.Claimed)
	l.event(free(ip4)).pass(2*s).wantStandings(machine.Claimed, machine.Claimed)
	// Of one that was handed back nothing is forwarded any more.
	awake4 := arriving(t, nil).event(ready).wantStandings(machine.Returned, machine.Returned).forget()
	awake4.event(forbidden).wantActions(end4)
	// An address that is not the machine's means nothing.
	asleep(t, nil).event(waits(away4)).wantActions()
}

// TestAnUnprovedAddress is not claimed before its machine has answered for it.
func TestAnUnprovedAddress(t *testing.T) {
	e := machine.Registered{Spec: spec(), Places: []machine.Place{{Addr: ip6, Unproved: true}}}
	l := newLife(t, nil).event(e).pass(3*s).want(machine.Asleep).wantStandings(machine.Claimed, machine.Waiting)
	l.pass(time.Hour).event(uses(ip6)).pass(3*s).want(machine.Asleep).wantStandings(machine.Claimed, machine.Waiting) // a frame is no answer
	// Nor after a restart.
	l.away(time.Minute).pass(s).want(machine.Asleep).wantStandings(machine.Claimed, machine.Waiting)
	l.pass(5*s).event(uses(ip4)).up(20*s).want(machine.Awake).pass(20*s).want(machine.Asleep).wantStandings(machine.Claimed, machine.Claimed)
	l.away(time.Minute).pass(s).wantStandings(machine.Claimed, machine.Claimed)

	newLife(t, nil).event(e).up(s).pass(4*s).want(machine.Asleep).wantStandings(machine.Claimed, machine.Claimed)
}

// TestReturnedAddresses: one that is in use is announced at once, the other when it
// is, and clients may send to us until then.
func TestReturnedAddresses(t *testing.T) {
	l := arriving(t, nil).event(ready).wantStandings(machine.Returned, machine.Returned).forget()
	l.as(at(ip4), machine.AnnouncedFor-1).wantActions().wantStandings(machine.Returned, machine.Returned)
	l.as(at(ip4), 1).wantActions(end4).wantStandings(machine.Own, machine.Returned)
	l.as(at(ip4), 12*s).wantActions(end6).wantStandings(machine.Own, machine.Own)

	// It sleeps again before that: the claim goes on.
	arriving(t, nil).event(ready, registered).forget().pass(3 * s).want(machine.Asleep).wantActions(claimBoth)
	// Of an address that cannot be claimed now the return ends.
	l = arriving(t, nil).event(ready, register6Waits).forget().pass(3*s).wantActions(end6, machine.Claim{Addrs: only4})
	l.wantStandings(machine.Claimed, machine.Waiting)
}
