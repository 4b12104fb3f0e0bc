package porter

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

// resident is a machine that lives in our house: its life, and what the loop
// keeps beside it.
type resident struct {
	*machine.Machine
	nic        *nic // where it lives; nil until it registers
	watch      *watch
	configured *machine.Spec // what the configuration says of it; nil: nothing
	joined     []netip.Addr  // whose solicited-node groups we are in
	expecting  bool          // a hand-over is due
	awaited    []netip.Addr  // addresses it must answer for before that
	deaf       bool          // it cannot be probed, and the log says so already
	knockedAt  time.Time     // kernel time of the knock that began the present wake; zero when told
}

func (r *resident) name() string { return r.Spec().Name }

// watched reports whether the readers have to look out for it. An awake
// machine's traffic with our host is none of our business, as a rule.
func (r *resident) watched() bool { return r.nic != nil && r.Watched() }

// expect remembers for which addresses the hand-over waits. A machine that
// answers a probe for one can take its clients as far as the network goes.
func (r *resident) expect(services []machine.Service) {
	r.awaited = nil
	spec := r.Spec()
	for _, s := range services {
		if spec.Has(s.Addr) && !slices.Contains(r.awaited, s.Addr) { // it may have registered anew
			r.awaited = append(r.awaited, s.Addr)
		}
	}
	r.expecting = true
}

// answered notes that the machine answered for ip, and reports whether nothing
// more is awaited. When nobody waits, any address will do.
func (r *resident) answered(ip netip.Addr) bool {
	r.awaited = slices.DeleteFunc(r.awaited, func(a netip.Addr) bool { return a == ip })
	if !r.expecting || len(r.awaited) > 0 {
		return false
	}
	r.expecting = false
	return true
}

// LogValue shows the machine in a log line by its name.
func (r *resident) LogValue() slog.Value { return slog.StringValue(r.name()) }

// silenced returns an address that is claimed and that its reader does not
// answer for: it heard the machine.
func (r *resident) silenced() (netip.Addr, bool) {
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
func (r *resident) leaveGroups(log *slog.Logger, addrs []netip.Addr) {
	r.joined = slices.DeleteFunc(r.joined, func(ip netip.Addr) bool {
		if !slices.Contains(addrs, ip) {
			return false
		}
		if err := r.nic.LeaveSolicitedNode(ip); err != nil {
			log.Debug("cannot leave the solicited-node group", "machine", r, "ip", ip, "err", err)
		}
		return true
	})
}
