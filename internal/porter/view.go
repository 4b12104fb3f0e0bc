package porter

import (
	"net/netip"

	"nightporter/internal/config"
	"nightporter/internal/fastpath"
	"nightporter/internal/machine"
	"nightporter/internal/wakefilter"
)

// publish gives the readers a new view where machines were added, removed or changed.
func (l *loop) publish() {
	changed := false
	for _, n := range l.nics {
		if !n.viewStale {
			continue
		}
		changed = true
		v := fastpath.NewView(readerRules(&l.conf.Wake))
		for _, e := range l.machines.named {
			if e.nic == n && e.attention != machine.ObserveNothing {
				whole := e.attention == machine.ObserveAll
				v.Add(e.target, whole, func(ip netip.Addr) bool { return !e.HasAddress(ip) })
				v.AddGuests(e.target, whole, e.Probes)
			}
		}
		n.noteForwarding()
		n.reader.SetView(v)
		// A filter that is not set is tried again with the next event.
		err := n.setInterest(v)
		if err != nil && !n.filterFailing {
			l.log.Error("cannot set the kernel filter", "event", "filter_failed", "interface", n.name, "err", err)
		}
		n.filterFailing, n.viewStale = err != nil, err != nil
	}
	if changed {
		l.own.follow(l.nics)
	}
}

// readerRules returns the configured rules for knocks.
func readerRules(c *config.Wake) fastpath.Rules {
	rules := fastpath.Rules{From: c.From, Established: c.Established}
	filter := &wakefilter.Rules{MinKnocks: c.MinKnocks, Window: c.KnockWindow, Quiet: c.QuietHours, Cooldown: c.Cooldown}
	if !filter.None() {
		rules.Filter = filter
	}
	return rules
}
