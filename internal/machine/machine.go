package machine

import (
	"net/netip"
	"time"
)

// Machine is one machine and its state. It is not safe for concurrent use.
type Machine struct {
	spec   Spec
	policy Policy
	tally  Tally

	state     State
	since     time.Time
	why       Reason // reason of the last change of state; empty after a restart
	lastWake  LastWake
	unready   []Service // at its handover; not kept over a restart
	bootTimes BootTimes
	sleepLog  SleepLog
	knocks    Knocks

	addrs addresses

	presence   presence
	blindUntil time.Time    // until then the silence of an awake machine proves nothing
	heard      time.Time    // when it was heard last
	otherAddrs []netip.Addr // addresses that it uses and did not register
	atOwn      time.Time    // last proof at an address of its own
	atOther    time.Time    // ... at another one, which is other
	other      netip.Addr
	upSince    time.Time // when it came up; for elsewhere
	flapsUntil time.Time // until then it may lose its network again
	tested     time.Time // when it tested an address last
	nicAnswers bool      // the network card or firmware answers while it sleeps

	elsewhere  bool      // it is up at another address, and that was reported
	permanent  bool      // the configuration knows it
	registered time.Time // when it registered last
	counted    time.Time // since when the tally counts
	paused     time.Time // end of the pause; zero: none
	unpaused   time.Time // when the last pause ended

	kind     settlingKind // in Settling only
	sleep    sleep        // in Settling: the sleep whose end is not yet known
	reported time.Time    // last report of a frame while it slept
	repeats  bool         // the doubt was reported within the hour, and is not again
	pending  *wake        // to begin as soon as the machine is surely off
	inquiry  Inquiry      // in Awake only
	wake     wake
	claimAt  time.Time     // of the present claim
	failures int           // wakes in a row that brought no frame
	retryAt  time.Time     // no knock wakes before
	pace     time.Duration // least time between probes while it is awaited

	actions []Action // of the event that is handled
	changed bool     // the Memory changed without an action that says so
	issued  issued   // the standing actions
}

// issued holds the standing actions that were issued last.
type issued struct {
	hold    HoldMode
	observe Observe
	filter  FilterKnocks
}

// watching are the methods that monitor an awake machine.
type watching struct{ *Machine }

func (m *Machine) watching() watching { return watching{m} }

// settling are the methods that find out whether the machine is off.
type settling struct{ *Machine }

func (m *Machine) settling() settling { return settling{m} }

// waking are the methods from the reason of a wake to the arrival of the machine.
type waking struct{ *Machine }

func (m *Machine) waking() waking { return waking{m} }

// receiving are the methods that handle frames and answers of the machine.
type receiving struct{ *Machine }

func (m *Machine) receiving() receiving { return receiving{m} }

// registering are the methods that handle registrations.
type registering struct{ *Machine }

func (m *Machine) registering() registering { return registering{m} }

// pausing are the methods of a pause, in which the porter leaves the machine alone for
// maintenance. The machine counts as awake: nothing is claimed, probed or woken.
type pausing struct{ *Machine }

func (m *Machine) pausing() pausing { return pausing{m} }

// issuing are the methods that derive the porter's standing actions from the state.
type issuing struct{ *Machine }

func (m *Machine) issuing() issuing { return issuing{m} }

func (m *Machine) do(a Action) { m.actions = append(m.actions, a) }

func (as *addresses) do(a Action) { as.machine.do(a) }

// known reports whether the machine has registered, or need not.
func (m *Machine) known() bool { return m.spec.Agentless || m.HasRegistered() }

// isPaused reports whether the machine is paused.
func (m *Machine) isPaused() bool { return !m.paused.IsZero() }

// State returns the machine's present state.
func (m *Machine) State() State { return m.state }

// Spec returns the present specification.
func (m *Machine) Spec() Spec { return m.spec }

// HasRegistered reports whether the machine has ever registered, also before a
// restart.
func (m *Machine) HasRegistered() bool { return !m.registered.IsZero() }

// LastWake returns what is known of the last wake.
func (m *Machine) LastWake() LastWake { return m.lastWake }

// PausedUntil returns when the present pause ends, or the zero time.
func (m *Machine) PausedUntil() time.Time { return m.paused }

// Claimed returns the claimed addresses.
func (m *Machine) Claimed() []netip.Addr { return m.addrs.which(claimed) }

// Guarded returns the addresses for which the porter's own kernel must stay silent:
// those that are claimed or returned.
func (m *Machine) Guarded() []netip.Addr {
	return m.addrs.which((*address).reaches)
}

// Answered returns the addresses that the readers answer for.
func (m *Machine) Answered() []netip.Addr {
	return m.addrs.which(func(a *address) bool { return a.standing == Claimed && a.yielded.IsZero() })
}

// Conceded reports whether an address of the machine is conceded to another host.
func (m *Machine) Conceded(ip netip.Addr) bool {
	a := m.addrs.of(ip)
	return a != nil && a.standing == Conceded
}

// HasAddress reports whether an address belongs to the machine as far as is known: it
// is neither waiting nor conceded.
func (m *Machine) HasAddress(ip netip.Addr) bool {
	a := m.addrs.of(ip)
	return a != nil && (a.claimable() || claimed(a))
}

// Probes reports whether the address is probed: it has a place.
func (m *Machine) Probes(ip netip.Addr) bool {
	a := m.addrs.of(ip)
	return a != nil && a.reason == ""
}

// AtRest reports whether a knock would be the first reason to wake the machine: it is
// asleep or settling, and no wake is pending. fell is when it fell asleep, and zero
// while it settles. A failed wake and a restart of the porter do not interrupt a
// sleep.
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

// NICAnswers reports whether the network card or firmware is known to answer for the
// sleeping machine, and the machine is claimed nevertheless (claim.override_offload).
func (m *Machine) NICAnswers() bool { return m.nicAnswers && m.policy.OverrideOffload }

// account adds a sleep that ended then.
func (m *Machine) account(slept time.Duration, then time.Time) {
	m.tally.Slept += slept
	m.tally.SavedJoules += m.spec.saving(slept)
	m.sleepLog = m.sleepLog.with(slept, then)
}

// endSleep accounts for a sleep that ended while the porter was not running. The time
// of its end is not known, so it counts as long as it may have been shown: a total
// that falls after a restart would be taken for a reset counter.
func (m *Machine) endSleep(now time.Time) {
	if !m.sleep.known() {
		return
	}
	slept, until := m.sleep.lasted()
	m.account(slept, OnClock(until, now))
	m.since, m.sleep = now, sleep{}
}
