package machine

import (
	"net/netip"
	"time"
)

// Machine is one machine and where it is in its life. It is not safe for
// concurrent use.
type Machine struct {
	spec   Spec
	policy Policy
	tally  Tally

	state     State
	since     time.Time
	why       Reason // it came into the state; empty after a restart
	lastWake  LastWake
	unready   []Service // at its handover; not kept over a restart
	bootTimes BootTimes
	sleepLog  SleepLog
	knocks    Knocks

	addrs addresses

	presence   presence
	blindUntil time.Time    // until then the silence of a machine that was awake proves nothing
	heard      time.Time    // when it was heard last
	otherAddrs []netip.Addr // addresses that it spoke from and did not register
	atOwn      time.Time    // last proof at an address of its own
	atOther    time.Time    // ... at another one, which is other
	other      netip.Addr
	upSince    time.Time // when it came up; for elsewhere
	flapsUntil time.Time // until then it may lose its network again
	tested     time.Time // when it tested an address last
	nicAnswers bool      // its network card or firmware answers while it sleeps

	elsewhere  bool      // it is up at another address, and that was reported
	permanent  bool      // the configuration knows it
	registered time.Time // when it registered last
	counted    time.Time // since when what it did is counted
	paused     time.Time // until then it is left alone; zero: it is not
	unpaused   time.Time // when the last pause ended

	kind     settlingKind // in Settling only
	sleep    sleep        // in Settling: that the porter did not see the end of
	reported time.Time    // when it was reported last that it spoke in its sleep
	repeats  bool         // this time it is not
	pending  *wake        // to begin as soon as the machine is surely off
	inquiry  Inquiry      // in Awake only
	wake     wake
	claimAt  time.Time     // of the present claim
	failures int           // wakes in a row that brought no frame
	retryAt  time.Time     // no knock wakes before
	pace     time.Duration // of questions while it is awaited, at the fastest

	actions []Action // collected while one event is handled
	changed bool     // what has to be stored did, although no action says so
	issued  issued   // what the porter does at present
}

// told is what the porter was last asked to do until further notice.
type issued struct {
	hold    HoldMode
	observe Observe
	filter  FilterKnocks
}

// awake is the part of a life in which the machine is up and looked after.
type watching struct{ *Machine }

func (m *Machine) watching() watching { return watching{m} }

// inDoubt is the part of a life in which it is open whether the machine is off.
type settling struct{ *Machine }

func (m *Machine) settling() settling { return settling{m} }

// woken is the part of a life from a wake's reason to the machine's arrival.
type waking struct{ *Machine }

func (m *Machine) waking() waking { return waking{m} }

// atTheDesk is the part of a life in which the machine registers.
type registering struct{ *Machine }

func (m *Machine) registering() registering { return registering{m} }

// pausing is the part of a life in which the porter leaves the machine alone, for
// maintenance. The machine counts as awake meanwhile: nothing is claimed, asked or woken.
type pausing struct{ *Machine }

func (m *Machine) pausing() pausing { return pausing{m} }

// toPorter is what follows for the porter from the state that a machine is in.
type issuing struct{ *Machine }

func (m *Machine) issuing() issuing { return issuing{m} }

func (m *Machine) do(a Action) { m.actions = append(m.actions, a) }

func (as *addresses) do(a Action) { as.machine.do(a) }

// known reports whether anything says that the machine is here: it has registered, or
// need not.
func (m *Machine) known() bool { return m.spec.Agentless || m.HasRegistered() }

// isPaused reports whether the machine is left alone.
func (m *Machine) isPaused() bool { return !m.paused.IsZero() }

// State returns the machine's present state.
func (m *Machine) State() State { return m.state }

// Spec returns what the machine said of itself last.
func (m *Machine) Spec() Spec { return m.spec }

// HasRegistered reports whether the machine ever did, also before a restart.
func (m *Machine) HasRegistered() bool { return !m.registered.IsZero() }

// LastWake returns what is known of the last wake.
func (m *Machine) LastWake() LastWake { return m.lastWake }

// PausedUntil returns when the present pause ends, or the zero time.
func (m *Machine) PausedUntil() time.Time { return m.paused }

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

// AtRest reports whether a knock would be the first reason to wake the machine: it
// is asleep, or about to be, and no client has knocked or asked. since is when it
// fell asleep, and zero while it settles. A wake that failed and a restart of the
// porter do not interrupt a sleep.
func (m *Machine) AtRest() (fell time.Time, rests bool) {
	switch m.state {
	case Settling:
		return m.sleep.since, m.pending == nil
	case Asleep:
		return earlier(m.claimAt, m.since), true
	default:
		return time.Time{}, false
	}
}

// NICAnswers reports whether something is known to answer for the machine while
// it sleeps, and it is to be claimed all the same.
func (m *Machine) NICAnswers() bool { return m.nicAnswers && m.policy.OverrideOffload }

// account enters a sleep that ended then.
func (m *Machine) account(slept time.Duration, then time.Time) {
	m.tally.Slept += slept
	m.tally.SavedJoules += m.spec.saving(slept)
	m.sleepLog = m.sleepLog.with(slept, then)
}

// endSleep closes the account of a sleep that ended while we were away. When it
// ended is not known, and it counts as long as it may have been shown: a total that
// is less after a restart is taken for one that began anew at 0, and counted twice.
func (m *Machine) endSleep(now time.Time) {
	if !m.sleep.known() {
		return
	}
	slept, until := m.sleep.lasted()
	m.account(slept, OnClock(until, now))
	m.since, m.sleep = now, sleep{}
}
