package porter

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/fair"
	"nightporter/internal/handover"
	"nightporter/internal/machine"
)

// entry is a machine that the porter knows: its life, and what the loop keeps
// beside it.
type entry struct {
	*machine.Machine
	nic         *nic // on whose network it is; nil until it registers, or is found a place
	watch       *watch
	configured  *machine.Spec // what the configuration says of it; nil: nothing
	joined      []netip.Addr  // whose solicited-node groups we are in
	hold        *handover.Hold
	judge       *fair.Judge
	readiness   handover.Readiness // while it arrives
	repin       time.Time          // when clients with held packets are to be pinned to our MAC again
	unplaceable string             // why there is no place for it, as the log says already; agentless only
	probeFailed bool               // it cannot be probed, and the log says so already
	nextAsked   int                // which of its TCP services was questioned last
	knockedAt   time.Time          // kernel time of the knock that began the present wake; zero once it is measured

	suppressionTold [len(machine.Suppressions)]time.Time // when the log said so last
}

func (r *entry) name() string { return r.Spec().Name }

// shown returns what the pages show of the machine, its times on the clock as it is
// now.
func (r *entry) shown(now time.Time) machine.Status {
	s := r.Status()
	s.Since, s.LastWake.At = machine.OnClock(s.Since, now), machine.OnClock(s.LastWake.At, now)
	s.Packets, s.Suppressed = r.hold.Counts(), r.judge.Suppressed()
	return s
}

// attention is how much of a machine's traffic the readers look at.
type attention uint8

const (
	ignored  attention = iota
	attended           // what it says by ARP and neighbour discovery, of which the kernel filter drops nothing
	watched            // everything it says, and all that is sent to it
)

// attention returns how closely the readers must watch the machine. An awake
// machine's traffic with our host is of no interest, as a rule.
func (r *entry) attention() attention {
	switch {
	case r.nic == nil || !r.Attended():
		return ignored
	case r.Watched():
		return watched
	}
	return attended
}

// watched reports whether the readers have to look out for all of it.
func (r *entry) watched() bool { return r.attention() == watched }

// expect has the hand-over wait for services.
func (r *entry) expect(now time.Time, services []machine.Service) {
	spec := r.Spec()
	r.readiness.Expect(now, slices.DeleteFunc(slices.Clone(services), func(s machine.Service) bool {
		return !spec.Serves(s) // it may have registered anew
	}))
}

// LogValue shows the machine in a log line by its name.
func (r *entry) LogValue() slog.Value { return slog.StringValue(r.name()) }

// silenced returns an address that is claimed and that its reader does not
// answer for: it heard the machine.
func (r *entry) silenced() (netip.Addr, bool) {
	if s := r.State(); s != machine.Asleep && s != machine.Waking {
		return netip.Addr{}, false
	}
	claimed := r.Claimed()
	for _, a := range r.watch.addrs {
		if !a.answer.Load() && slices.Contains(claimed, a.ip) {
			return a.ip, true
		}
	}
	return netip.Addr{}, false
}

// leaveGroups leaves the solicited-node groups of addresses no longer claimed.
func (r *entry) leaveGroups(log *slog.Logger, addrs []netip.Addr) {
	r.joined = slices.DeleteFunc(r.joined, func(ip netip.Addr) bool {
		if !slices.Contains(addrs, ip) {
			return false
		}
		if err := r.nic.link.Load().LeaveSolicitedNode(ip); err != nil {
			log.Debug("cannot leave the solicited-node group", "machine", r, "ip", ip, "err", err)
		}
		return true
	})
}
