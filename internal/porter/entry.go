package porter

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/fair"
	"nightporter/internal/fastpath"
	"nightporter/internal/handover"
	"nightporter/internal/machine"
)

// entry is a machine, and what the loop keeps beside its life.
type entry struct {
	*machine.Machine
	nic        *nic             // where it is looked for; nil while no interface is known to reach it
	target     *fastpath.Target // as the readers see it
	attention  machine.Attention
	configured *machine.Spec // what the configuration says of it; nil: nothing
	places     []machine.Place
	joined     []netip.Addr // whose solicited-node groups we are in
	hold       *handover.Hold
	judge      *fair.Judge
	readiness  handover.Readiness // while it arrives
	repin      time.Time          // when clients with held packets are to be pinned again
	unasked    bool               // it cannot be probed, and the log says so already
	nextProbed int                // which of its TCP services was probed last beside a question
	knockedAt  time.Time          // kernel time of the knock that began the present wake; zero when told

	suppressionTold [len(machine.Suppressions)]time.Time // when the log said so last
}

func (e *entry) name() string { return e.Spec().Name }

// LogValue shows the machine in a log line by its name.
func (e *entry) LogValue() slog.Value { return slog.StringValue(e.name()) }

// setTarget makes the readers' view of the machine anew.
func (e *entry) setTarget() {
	e.target = fastpath.NewTarget(e.Spec(), e.hold, e.judge)
	e.target.SetCardAnswers(e.CardAnswers())
	if e.nic != nil {
		e.nic.stale = true
	}
}

// shown returns what is shown of the machine, its times on the clock as it is now.
func (e *entry) shown(now time.Time) machine.Status {
	s := e.Status()
	s.Since, s.LastWake.At = machine.OnClock(s.Since, now), machine.OnClock(s.LastWake.At, now)
	s.Packets, s.Suppressed = e.hold.Counts(), e.judge.Suppressed()
	return s
}

// looked reports whether the machine is looked after: it has registered, or need
// not.
func (e *entry) looked() bool {
	spec := e.Spec()
	return spec.Agentless || e.HasRegistered()
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

// registry has every machine, by name and by MAC.
type registry struct {
	named map[string]*entry
	byMAC map[machine.MAC]*entry
}

func newRegistry() registry {
	return registry{named: make(map[string]*entry), byMAC: make(map[machine.MAC]*entry)}
}

func (r *registry) add(e *entry) {
	spec := e.Spec()
	r.named[spec.Name], r.byMAC[spec.MAC] = e, e
}

func (r *registry) remove(e *entry) {
	spec := e.Spec()
	delete(r.named, spec.Name)
	delete(r.byMAC, spec.MAC)
}

// has reports whether e was not removed.
func (r *registry) has(e *entry) bool { return r.byMAC[e.Spec().MAC] == e }

// sorted returns the machines by name.
func (r *registry) sorted() []*entry {
	all := make([]*entry, 0, len(r.named))
	for _, e := range r.named {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int { return strings.Compare(a.name(), b.name()) })
	return all
}

// holder returns the machine, other than that with the MAC, that holds ip, or nil.
func (r *registry) holder(ip netip.Addr, mac machine.MAC) *entry {
	for other, e := range r.byMAC {
		if other != mac && e.holds(ip) {
			return e
		}
	}
	return nil
}

// share reports whether another machine names one of the addresses of e too.
func (r *registry) share(e *entry) bool {
	spec := e.Spec()
	for _, other := range r.byMAC {
		if others := other.Spec(); other != e && slices.ContainsFunc(others.Addrs(), spec.Has) {
			return true
		}
	}
	return false
}

// holds reports whether ip is held for the machine, or about to be: one that is
// awake proves by its answers what is its own.
func (e *entry) holds(ip netip.Addr) bool {
	return (e.State() != machine.Awake || e.Spec().Agentless) && e.Holds(ip)
}
