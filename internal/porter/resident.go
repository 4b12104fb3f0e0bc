package porter

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/fair"
	"nightporter/internal/fastpath"
	"nightporter/internal/handover"
	"nightporter/internal/machine"
)

// resident is a machine that lives in our house: its life, and what the loop
// keeps beside it.
type resident struct {
	*machine.Machine
	nic        *nic             // where it lives; nil until it registers, or is found a place
	target     *fastpath.Target // as the readers see it
	configured *machine.Spec    // what the configuration says of it; nil: nothing
	joined     []netip.Addr     // whose solicited-node groups we are in
	hold       *handover.Hold
	judge      *fair.Judge
	readiness  handover.Readiness // while it arrives
	repin      time.Time          // when those who wait have to be told again that they do it here
	homeless   string             // why there is no place for it, as the log says already; agentless only
	deaf       bool               // it cannot be probed, and the log says so already
	nextAsked  int                // which of its TCP services was questioned last
	knockedAt  time.Time          // kernel time of the knock that began the present wake; zero when told

	suppressionTold [len(machine.Suppressions)]time.Time // when the log said so last
}

func (r *resident) name() string { return r.Spec().Name }

// shown returns what is told of the machine, its times on the clock as it is now.
func (r *resident) shown(now time.Time) machine.Status {
	s := r.Status()
	s.Since, s.LastWake.At = machine.OnClock(s.Since, now), machine.OnClock(s.LastWake.At, now)
	s.Packets, s.Suppressed = r.hold.Counts(), r.judge.Suppressed()
	return s
}

// newTarget returns r as the readers are to see it, with what spec registers.
func (r *resident) newTarget(spec machine.Spec) *fastpath.Target {
	t := fastpath.NewTarget(spec, r.hold, r.judge)
	t.SetCardAnswers(r.CardAnswers())
	return t
}

// attention is what the readers have to look out for.
type attention uint8

const (
	ignored  attention = iota
	attended           // what it says by ARP and neighbour discovery, of which the kernel filter drops nothing
	watched            // everything it says, and all that is sent to it
)

// attention returns how much of it the machine takes. An awake machine's traffic
// with our host is none of our business, as a rule.
func (r *resident) attention() attention {
	switch {
	case r.nic == nil || !r.Attended():
		return ignored
	case r.Watched():
		return watched
	}
	return attended
}

// watched reports whether the readers have to look out for all of it.
func (r *resident) watched() bool { return r.attention() == watched }

// expect has the hand-over wait for services.
func (r *resident) expect(now time.Time, services []machine.Service) {
	spec := r.Spec()
	r.readiness.Expect(now, slices.DeleteFunc(slices.Clone(services), func(s machine.Service) bool {
		return !spec.Serves(s) // it may have registered anew
	}))
}

// LogValue shows the machine in a log line by its name.
func (r *resident) LogValue() slog.Value { return slog.StringValue(r.name()) }

// silenced returns an address that is claimed and that its reader does not
// answer for: it heard the machine.
func (r *resident) silenced() (netip.Addr, bool) {
	if s := r.State(); s != machine.Asleep && s != machine.Waking {
		return netip.Addr{}, false
	}
	return r.target.Silent(r.Claimed())
}

// leaveGroups leaves the solicited-node groups of addresses no longer claimed.
func (r *resident) leaveGroups(log *slog.Logger, addrs []netip.Addr) {
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
