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

// entry is a machine, and what the loop keeps beside its life.
type entry struct {
	*machine.Machine
	nic          *nic             // where it is looked for; nil while no interface is known to reach it
	target       *fastpath.Target // as the readers see it
	attention    machine.Attention
	configured   *machine.Spec // what the configuration says of it; nil: nothing
	placed       []machine.Place
	groups       []netip.Addr // whose solicited-node groups we are in
	hold         *handover.Hold
	guardedFlows []guard.Flow // to clients: what comes by them the reader sends on, not our kernel
	judge        *wakefilter.Filter
	readiness    handover.Readiness // while it arrives
	pinState     pinState           // likewise
	unicastLimit *rate.Limiter      // of neighbors, one by one
	refusedAt    time.Time          // while it arrives: when it refused a connection, and others were told of that
	probeFailing bool               // it cannot be probed, and the log says so already
	lastProbed   int                // which of its TCP services was probed last beside a question
	knockedAt    time.Time          // kernel time of the knock that began the present wake; zero when told
}

func (e *entry) name() string { return e.Spec().Name }

// LogValue shows the machine in a log line by its name.
func (e *entry) LogValue() slog.Value { return slog.StringValue(e.name()) }

// setTarget makes the readers' view of the machine anew.
func (e *entry) setTarget() {
	e.target = fastpath.NewTarget(e.Spec(), e.hold, e.judge)
	e.target.SetCardAnswers(e.NICAnswers())
	e.target.SetGuarded(e.Guarded(), true)
	if e.nic != nil {
		e.nic.viewStale = true
	}
}

// shown returns what is shown of the machine, its times on the clock as it is now.
func (e *entry) shown(now time.Time) machine.Status {
	s := e.Status()
	s.Since, s.LastWake.At = machine.OnClock(s.Since, now), machine.OnClock(s.LastWake.At, now)
	s.Heard, s.RetryAt = machine.OnClock(s.Heard, now), machine.OnClock(s.RetryAt, now)
	s.PausedUntil, s.Registered = machine.OnClock(s.PausedUntil, now), machine.OnClock(s.Registered, now)
	s.Arrival = e.Arrival(now)
	s.Arrival.Since, s.Arrival.Until = machine.OnClock(s.Arrival.Since, now), machine.OnClock(s.Arrival.Until, now)
	s.Arrival.Idle = machine.OnClock(s.Arrival.Idle, now)
	s.Packets, s.Suppressed, s.Ignored = e.hold.Counts(), e.judge.Suppressed(), e.judge.Ignored()
	for i := range s.Ignored {
		s.Ignored[i].First, s.Ignored[i].Last = machine.OnClock(s.Ignored[i].First, now), machine.OnClock(s.Ignored[i].Last, now)
	}
	if card := e.card(); card != s.MAC {
		s.WakeMAC = card
	}
	return s
}

// wakePath is what the configuration says of how the machine is woken.
func (e *entry) wakePath() machine.WakePath {
	if e.configured == nil {
		return machine.WakePath{}
	}
	return e.configured.Path
}

// card returns the address that magic packets carry and go to. A machine that cannot
// be woken cannot register again either, so what the configuration says of it holds
// at once, unless the machine said something itself.
func (e *entry) card() ether.MAC {
	spec := e.Spec()
	if e.configured != nil && spec.WakeMAC == (ether.MAC{}) {
		return e.configured.MagicMAC()
	}
	return spec.MagicMAC()
}

// unnamed reports whether a is a guest that the configuration does not name. Nobody can
// prove that it is one.
func (e *entry) isUnconfiguredHosted(a machine.Address) bool {
	return a.Hosted() && (e.configured == nil || !registration.IsConfiguredGuest(e.configured.Monitor, a))
}

// looked reports whether the machine is looked after: it has registered, or need
// not.
func (e *entry) managed() bool {
	spec := e.Spec()
	return spec.Agentless || e.HasRegistered()
}

// sleeps reports whether the machine is off, so that it cannot have registered.
func (e *entry) sleeps() bool { return e.State() == machine.Asleep || e.State() == machine.Waking }

// observe changes what the readers look out for.
func (e *entry) observe(o machine.Observe) {
	e.target.SetCardAnswers(o.IgnoreBare)
	e.target.SetUndefended(o.Undefended)
	e.target.SetDoubtful(o.Doubtful)
	if e.attention != o.Attention && e.nic != nil {
		e.nic.viewStale = true
	}
	e.attention = o.Attention
}

// monitored lists what spec wants to be woken for.
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

// holds reports whether ip is the machine's, as far as it is looked after.
func (e *entry) holds(ip netip.Addr) bool {
	return e.attention != machine.ObserveNothing && e.HasAddress(ip)
}

// before reports whether ip is rather the machine's than another's that holds it
// too: it is claimed for it, or it registered later, and so has proved it last.
func (e *entry) precedes(other *entry, ip netip.Addr) bool {
	if mine, others := slices.Contains(e.Claimed(), ip), slices.Contains(other.Claimed(), ip); mine != others {
		return mine
	}
	return e.Memory().Registered.After(other.Memory().Registered)
}

// paused returns why a machine cannot be woken that is left alone, or nil.
func (e *entry) paused(now time.Time) error {
	until := e.PausedUntil()
	if until.IsZero() {
		return nil
	}
	return fmt.Errorf("%w: it is paused until %s, resume it first", machine.ErrConflict, machine.OnClock(until, now).Format(time.RFC3339))
}
