package machine

import (
	"net/netip"
	"slices"
	"time"
)

// Policy is what the operator decided about probing and waking.
type Policy struct {
	ProbeInterval time.Duration // between two probes of a settling machine
	ProbeMisses   int           // unanswered probes in a row that mean it is off
	ProbeTimeout  time.Duration // how long a machine may take to fall silent
	WakeAttempts  int           // magic packets of one wake
	WakeInterval  time.Duration // between two of them
	Keep          bool          // keep a machine whose wake failed
	Holdoff       time.Duration // no magic packet sooner than this after the claim
	ReadyTimeout  time.Duration // from the first frame to a hand-over at any price
	Porter        uint64        // tells this porter from others on the LAN: so they do not do the same at the same time

	OverrideOffload bool // claim a machine also where its network card answers while it sleeps
}

// silence is how long a machine must not have been heard to count as off.
func (p *Policy) silence() time.Duration {
	return time.Duration(p.ProbeMisses) * p.ProbeInterval
}

// startSilence is the least silence that means off once a machine has spoken in
// or after its sleep. One that starts pauses for up to 2 s while it tests its
// addresses (RFC 5227 section 1.1, PROBE_MAX and ANNOUNCE_WAIT; RFC 4862 section
// 5.4 for 1 s), and would take our announcement for a duplicate.
const startSilence = 3 * time.Second

// startSilence is as long as silence, but no shorter than a start may pause.
func (p *Policy) startSilence() time.Duration { return max(p.silence(), startSilence) }

// arrivalProbeInterval is the pace of the probes that look for a booting
// machine which does not announce itself, and for addresses not yet in use.
const arrivalProbeInterval = 100 * time.Millisecond

// Pace returns how long to wait with the next question to a machine that is
// awaited since waited: an 800th of that, so that we notice hardly later than it
// takes anyway, but no less than 5 ms or fastest, and no more than slowest.
func Pace(waited, fastest, slowest time.Duration) time.Duration {
	return min(max(waited/800, 5*time.Millisecond, fastest), slowest)
}

// Machine is one machine and where it is in its life. It is not safe for
// concurrent use.
type Machine struct {
	spec   Spec
	policy Policy
	tally  Tally

	state    State
	since    time.Time
	lastWake LastWake
	diary    Diary
	knocks   Knocks

	claimed     []netip.Addr // what we hold, in every state
	kept        []netip.Addr // what was claimed and is not parted with: clients may still send it to us
	concessions []concession // addresses left to others
	owed        owed
	vigil       vigil     // in Awake only
	registered  time.Time // when it registered last
	card        bool      // its network card answers while it sleeps

	pace     time.Duration // of questions while it is awaited, at the fastest
	settling settling
	pending  *wake // to begin as soon as the machine is surely asleep
	wake     wake
	claimAt  time.Time // of the present claim

	actions []Action // collected while one event is handled
}

// New returns a machine that is awake.
func New(spec Spec, policy Policy, now time.Time) *Machine {
	return &Machine{spec: spec, policy: policy, state: Awake, since: now}
}

// Status returns what can be told of the machine. It changes with Handle.
func (m *Machine) Status() Status {
	return Status{Spec: m.spec, State: m.state, Since: m.since, LastWake: m.lastWake, Diary: m.diary, Knocks: m.knocks, Tally: m.tally}
}

// State returns the machine's present state.
func (m *Machine) State() State { return m.state }

// Spec returns what the machine said of itself last.
func (m *Machine) Spec() Spec { return m.spec }

// Handle takes an event that happened now, and returns what follows from it,
// in the order in which it has to be done.
func (m *Machine) Handle(now time.Time, event Event) []Action {
	m.actions = nil
	switch e := event.(type) {
	case Registered:
		m.register(now, e.Spec)
	case Entrusted:
		m.entrust(now, e.Agentless)
	case Heard:
		m.hear(now, e)
	case Unprobed:
		m.unprobed(now)
	case Knocked:
		m.knock(now, e)
	case WakeAsked:
		m.ask(now, e)
	case Ticked:
		m.pace = e.Pace
		m.tick(now)
	case ServicesReady:
		if m.state == Arriving {
			m.arrive(now, WhyReady)
		}
	case Conflicted:
		m.conflict(now, e)
	case Unasked:
		if c := m.concession(e.Addr); c != nil {
			m.lookLater(now, c)
		}
	case PolicyChanged:
		m.policy = e.Policy
		m.hasten(now)
	case Stopped:
		m.stop(now, e)
	}
	m.noteOver()
	return m.actions
}

// Next returns when Ticked is due, or the zero time when nothing is.
func (m *Machine) Next() time.Time {
	switch m.state {
	case Awake:
		return earlier(m.owed.next(), m.vigil.nextProbe)
	case Settling:
		return m.settling.nextProbe
	case Asleep:
		return m.nextLook()
	case Waking:
		return earlier(m.wake.nextMagic, m.wake.nextProbe)
	case Arriving:
		w := &m.wake
		return earlier(w.nextProbe, earlier(w.lastHeard.Add(m.policy.startSilence()), w.arrived.Add(m.policy.ReadyTimeout)))
	default:
		return time.Time{}
	}
}

// earlier returns the earlier of two times, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func (m *Machine) do(a Action) { m.actions = append(m.actions, a) }

// move changes the state.
func (m *Machine) move(now time.Time, to State, why Reason) {
	after := now.Sub(m.since)
	if m.state == Asleep {
		m.account(after, now)
	}
	m.do(Moved{From: m.state, To: to, Why: why, After: after})
	m.state, m.since = to, now
	m.vigil = vigil{}
	m.breakOff()
	if to == Awake {
		m.lookAfter(now)
	}
}

// account enters a sleep that ended then.
func (m *Machine) account(slept time.Duration, then time.Time) {
	m.tally.Slept += slept
	m.tally.SavedJoules += m.spec.saving(slept)
	m.diary = m.diary.with(slept, then)
}

// giveBack releases every address of a machine that is off, or that is up and
// uses its addresses: the LAN may know at once.
func (m *Machine) giveBack(now time.Time) {
	addrs := m.claimed
	m.release()
	m.owed = owed{telling: m.owed.telling}
	m.announce(now, addrs)
}

// release lets go of every claimed address, without a word.
func (m *Machine) release() {
	if len(m.claimed) == 0 {
		return
	}
	m.do(Release{Addrs: m.claimed})
	m.claimed = nil
}

// claim takes every address that nobody else uses.
func (m *Machine) claim() { m.claimSaying(0) }

// claimUnsaid is claim after a silence that may have been the pause of a machine
// which was started meanwhile. It is answered for at once, but nothing is announced
// until it would have been heard: those who ask hear of us, and all others have
// before the porter was away.
func (m *Machine) claimUnsaid() { m.claimSaying(startSilence) }

func (m *Machine) claimSaying(after time.Duration) {
	m.owed = owed{}
	m.claimed = slices.DeleteFunc(m.spec.Addrs(), func(a netip.Addr) bool { return m.Conceded(a) })
	m.kept = slices.Clone(m.claimed)
	m.do(Claim{Addrs: slices.Clone(m.claimed), Unsaid: after})
}

// part ends what began with the claim.
func (m *Machine) part() {
	if len(m.kept) == 0 {
		return
	}
	m.do(Part{Addrs: m.kept})
	m.kept = nil
}

// partTold parts with the addresses of an awake machine once everybody has been
// told where they are, or they have turned out not to be in use.
func (m *Machine) partTold() {
	if m.owed.telling.IsZero() && len(m.owed.addrs) == 0 {
		m.part()
	}
}

// Kept reports whether clients may still send packets for the machine to us.
func (m *Machine) Kept() bool { return len(m.kept) > 0 }

func (m *Machine) register(now time.Time, spec Spec) {
	m.endSlumber(now)
	m.giveBack(now)
	m.part()
	switch m.state {
	case Awake:
		m.pending = nil // it was up when it was asked for
	case Waking:
		// Whoever knocked still waits: wake it once it has really gone.
		m.postponeWake()
	case Arriving:
		// One that we woke and that goes to sleep at once is not woken again for
		// the same knock, or it would be for ever.
		if m.wake.attempts == 0 {
			m.postponeWake()
		}
	}
	m.concessions = nil
	m.registered = now
	m.enterSettling(now, WhyRegistered, false, func() { m.spec = spec })
	m.knocks = m.knocks.among(spec.Ports())
}

// hear takes any frame from the machine. Only one for its own address says
// that its operating system is up.
func (m *Machine) hear(now time.Time, e Heard) {
	if m.mere(now, e) {
		return
	}
	up := e.Addr.IsValid() && m.spec.Has(e.Addr)
	switch m.state {
	case Awake:
		m.heardAwake(now)
	case Settling:
		m.heardSettling(now, e, up)
	case Asleep:
		m.letGo(now)
		m.enterSettling(now, WhySpoke, true, nil)
		m.settling.up = up && !e.Answer
	case Waking:
		switch {
		case m.wake.attempts == 0:
			// Still held off: we did not start this.
			m.letGo(now)
			m.postponeWake()
			m.enterSettling(now, WhySpoke, true, nil)
			m.settling.up = up && !e.Answer
			m.joinArrival(now)
		case up:
			m.enterArriving(now)
		}
	case Arriving:
		m.wake.lastHeard = now
	}
	switch {
	case up && e.InUse:
		m.uses(now, e.Addr)
	case up:
		m.tests(now, e.Addr)
	}
}

func (m *Machine) tick(now time.Time) {
	if due := m.Next(); due.IsZero() || now.Before(due) {
		return
	}
	switch m.state {
	case Awake:
		m.tickAwake(now)
	case Settling:
		m.tickSettling(now)
	case Asleep:
		m.tickAsleep(now)
	case Waking:
		m.tickWaking(now)
	case Arriving:
		m.tickArriving(now)
	}
}

// tickAwake looks for what an awake machine still has to show: addresses in
// use, or that it stays.
func (m *Machine) tickAwake(now time.Time) {
	if !now.Before(m.owed.telling) {
		m.owed.telling = time.Time{}
	}
	if next := m.owed.nextProbe; !next.IsZero() && !now.Before(next) {
		m.tickOwed(now)
	}
	m.partTold()
	if next := m.vigil.nextProbe; !next.IsZero() && !now.Before(next) {
		m.tickVigil(now)
	}
}

// Claimed returns the addresses that are held for the machine.
func (m *Machine) Claimed() []netip.Addr { return slices.Clone(m.claimed) }

// conflict leaves an address to the host that uses it. RFC 5227 section 2.4
// lets a host defend its address; it is not ours, so we never do.
func (m *Machine) conflict(now time.Time, e Conflicted) {
	if c := m.concession(e.Addr); c != nil {
		m.stillUsed(now, c)
		return
	}
	if m.state == Awake || !m.spec.Has(e.Addr) {
		return
	}
	m.tally.Conflicts++
	m.concede(now, e.Addr)
	m.do(ConflictSeen(e))
	if i := slices.Index(m.claimed, e.Addr); i >= 0 {
		m.claimed = slices.Delete(slices.Clone(m.claimed), i, i+1)
		m.do(Release{Addrs: []netip.Addr{e.Addr}})
	} else {
		m.do(Hush{Addrs: []netip.Addr{e.Addr}}) // its return may be on the air
	}
	m.owed.drop(e.Addr)
	if i := slices.Index(m.kept, e.Addr); i >= 0 {
		m.kept = slices.Delete(m.kept, i, i+1)
		m.do(Part{Addrs: []netip.Addr{e.Addr}})
	}
	if m.state == Arriving {
		m.handOver()
	}
}

func (m *Machine) stop(now time.Time, e Stopped) {
	if m.state == Arriving {
		m.handBack(now)
	} else {
		m.giveBack(now)
	}
	m.part()
	m.vigil = vigil{}
	if e.Wake && (m.state == Settling || m.state == Asleep || m.state == Waking) {
		m.magic(1)
	}
}

// magic sends a magic packet and counts it.
func (m *Machine) magic(attempt int) {
	m.tally.Attempts++
	m.do(SendMagic{Attempt: attempt})
}
