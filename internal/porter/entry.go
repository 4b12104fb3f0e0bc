package porter

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"nightporter/internal/ether"
	"nightporter/internal/fastpath"
	"nightporter/internal/guard"
	"nightporter/internal/handover"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
	"nightporter/internal/wakefilter"
)

// entry is a machine with the state that the loop keeps for it.
type entry struct {
	*machine.Machine
	nic          *nic             // on which it is monitored; nil while no interface reaches it
	target       *fastpath.Target // as the readers see it
	attention    machine.Attention
	configured   *machine.Spec // its entry in the configuration, or nil
	placed       []machine.Place
	groups       []netip.Addr // whose solicited-node groups we have joined
	hold         *handover.Hold
	guardedFlows []guard.Flow // to clients: the reader forwards their packets, not our kernel
	filter       *wakefilter.Filter
	readiness    handover.Readiness // while it arrives
	pinState     pinState           // likewise
	unicastLimit *rate.Limiter      // of frames that correct neighbors one by one
	refusedAt    time.Time          // while it arrives: when a refused connection last started a round of pins
	probeFailing bool               // it cannot be probed, and that is logged
	lastProbed   int                // index of the TCP service that was probed last
	knockedAt    time.Time          // kernel time of the knock that began the present wake; zero once measured
}

func (e *entry) name() string { return e.Spec().Name }

// LogValue shows the machine in a log line by its name.
func (e *entry) LogValue() slog.Value { return slog.StringValue(e.name()) }

// setTarget makes a new target, which is the machine as the readers see it.
func (e *entry) setTarget() {
	e.target = fastpath.NewTarget(e.Spec(), e.hold, e.filter)
	e.target.SetCardAnswers(e.NICAnswers())
	e.target.SetGuarded(e.Guarded(), true)
	if e.nic != nil {
		e.nic.viewStale = true
	}
}

// shown returns the machine's status, with its times on the present wall clock.
func (e *entry) shown(now time.Time) machine.Status {
	s := e.Status()
	s.Since, s.LastWake.At = machine.OnClock(s.Since, now), machine.OnClock(s.LastWake.At, now)
	s.Heard, s.RetryAt = machine.OnClock(s.Heard, now), machine.OnClock(s.RetryAt, now)
	s.PausedUntil, s.Registered = machine.OnClock(s.PausedUntil, now), machine.OnClock(s.Registered, now)
	s.Arrival = e.Arrival(now)
	s.Arrival.Since, s.Arrival.Until = machine.OnClock(s.Arrival.Since, now), machine.OnClock(s.Arrival.Until, now)
	s.Arrival.Idle = machine.OnClock(s.Arrival.Idle, now)
	s.Packets, s.Suppressed, s.Ignored = e.hold.Counts(), e.filter.Suppressed(), e.filter.Ignored()
	for i := range s.Ignored {
		s.Ignored[i].First, s.Ignored[i].Last = machine.OnClock(s.Ignored[i].First, now), machine.OnClock(s.Ignored[i].Last, now)
	}
	if card := e.card(); card != s.MAC {
		s.WakeMAC = card
	}
	return s
}

// wakePath returns the configured way to wake the machine.
func (e *entry) wakePath() machine.WakePath {
	if e.configured == nil {
		return machine.WakePath{}
	}
	return e.configured.Path
}

// card returns the MAC that magic packets carry and go to. A machine that cannot be woken
// cannot register again, so the configured MAC takes effect at once, unless the machine
// registered one.
func (e *entry) card() ether.MAC {
	spec := e.Spec()
	if e.configured != nil && spec.WakeMAC == (ether.MAC{}) {
		return e.configured.MagicMAC()
	}
	return spec.MagicMAC()
}

// isUnconfiguredGuest reports whether a is an address of a guest that is not configured. A
// registration cannot prove that a guest belongs to its machine.
func (e *entry) isUnconfiguredGuest(a machine.Address) bool {
	return a.Guest() && (e.configured == nil || !registration.IsConfiguredGuest(e.configured.Monitor, a))
}

// managed reports whether the machine has registered, or need not because it is agentless.
func (e *entry) managed() bool {
	spec := e.Spec()
	return spec.Agentless || e.HasRegistered()
}

// sleeps reports whether the machine is off, so that it cannot have registered.
func (e *entry) sleeps() bool { return e.State() == machine.Asleep || e.State() == machine.Waking }

// observe changes which frames of the machine the readers report.
func (e *entry) observe(o machine.Observe) {
	e.target.SetCardAnswers(o.IgnoreBare)
	e.target.SetUndefended(o.Undefended)
	e.target.SetDoubtful(o.Doubtful)
	if e.attention != o.Attention && e.nic != nil {
		e.nic.viewStale = true
	}
	e.attention = o.Attention
}

// monitored lists the addresses and ports that wake the machine, for log lines.
func monitored(spec machine.Spec) string {
	var b strings.Builder
	for i, a := range spec.Monitor {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(a.IP.String())
		for _, port := range a.Ports {
			b.WriteByte(',')
			b.WriteString(port.String())
		}
	}
	return b.String()
}

// holds reports whether ip is an address of the machine, and the machine is observed.
func (e *entry) holds(ip netip.Addr) bool {
	return e.attention != machine.ObserveNothing && e.HasAddress(ip)
}

// precedes reports whether the machine has ip before another machine that holds it too:
// ip is claimed for it, or it registered later, and so has proved the address last.
func (e *entry) precedes(other *entry, ip netip.Addr) bool {
	if mine, others := slices.Contains(e.Claimed(), ip), slices.Contains(other.Claimed(), ip); mine != others {
		return mine
	}
	return e.Memory().Registered.After(other.Memory().Registered)
}

// paused returns the error that a wake of a paused machine gets, or nil.
func (e *entry) paused(now time.Time) error {
	until := e.PausedUntil()
	if until.IsZero() {
		return nil
	}
	return fmt.Errorf("%w: it is paused until %s, resume it first", machine.ErrConflict, machine.OnClock(until, now).Format(time.RFC3339))
}
