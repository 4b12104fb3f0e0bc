package porter

import (
	"context"
	"errors"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// Ready returns nil when the porter works on every interface, or an error that names the
// ones on which it does not.
func (p *Porter) Ready() error {
	select {
	case <-p.stopped:
		return errStopping
	default:
	}
	select {
	case <-p.running:
	default:
		return errors.New("nightporter is starting")
	}
	var faults []string
	for _, n := range p.loop.nics {
		if err := n.unavailable(); err != nil {
			faults = append(faults, err.Error())
		}
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	return nil
}

// Machines returns the status of every machine, sorted by name; nil once the porter has
// stopped.
func (p *Porter) Machines() []machine.Status {
	var all []machine.Status
	_ = p.inLoop(context.Background(), func() {
		now := time.Now()
		for _, e := range p.loop.machines.sorted() {
			all = append(all, e.shown(now))
		}
	})
	return all
}

// Knows reports whether a machine with that MAC has registered or is configured. It does
// not wait for the loop.
func (p *Porter) Knows(mac ether.MAC) bool { return p.loop.machines.knows(mac) }

// Guard returns whether our kernel is kept silent about claimed addresses.
func (p *Porter) Guard() guard.Status { return p.loop.kernel.guard.Status() }

// GuardNeeded reports whether a missing guard matters.
func (p *Porter) GuardNeeded() bool { return p.loop.kernel.guard.Needed() }

// Interfaces returns the names of the interfaces that the porter works on.
func (p *Porter) Interfaces() []string { return p.loop.interfaces.names() }

// Networks returns the network of each interface; nil once the porter has stopped.
func (p *Porter) Networks() []lan.Network {
	var all []lan.Network
	_ = p.inLoop(context.Background(), func() {
		for _, n := range p.loop.nics {
			network := *n.network.Load()
			network.Name = n.name
			all = append(all, network)
		}
	})
	return all
}

// Drops returns how many packets the kernel dropped because a socket was full, by
// interface.
func (p *Porter) Drops() map[string]uint64 {
	drops := make(map[string]uint64)
	for _, n := range p.loop.interfaces.named() {
		drops[n.name] = 0
		if l := n.link.Load(); l != nil {
			drops[n.name] = l.Drops()
		}
	}
	return drops
}

// Rejected returns how many frames were rejected, by interface and reason.
func (p *Porter) Rejected() map[string]map[string]uint64 {
	rejected := make(map[string]map[string]uint64)
	for _, n := range p.loop.interfaces.named() {
		by := map[string]uint64{"overrun": n.reader.Lost()} // the event queue was full
		if l := n.link.Load(); l != nil {
			for v, count := range l.Rejected() {
				by[v.String()] = count
			}
		}
		for reason, count := range n.reader.Refused() {
			by[reason.String()] = count
		}
		rejected[n.name] = by
	}
	return rejected
}

// Events returns the journal's events with a sequence number above since, of the machine
// of that name, or of all with an empty name: the newest limit events, oldest first.
func (p *Porter) Events(since uint64, name string, limit int) []journal.Event {
	return p.loop.journal.Events(since, name, limit)
}

// Follow returns a channel that receives every later event until ctx ends.
func (p *Porter) Follow(ctx context.Context) <-chan journal.Event { return p.loop.journal.Follow(ctx) }

// History returns the recorded days of a machine. It does not wait for the loop.
func (p *Porter) History(mac ether.MAC) journal.MachineHistory {
	return p.loop.journal.History(mac)
}

// Storage returns whether events can be written to the disk.
func (p *Porter) Storage() journal.Health {
	if err := p.loop.journal.Healthy(); err != nil {
		return journal.Health{Reason: err.Error()}
	}
	return journal.Health{Healthy: true}
}

// WakeRules returns the configured rules about which packets wake, or the zero value once
// the porter has stopped.
func (p *Porter) WakeRules() (rules machine.WakeRules) {
	_ = p.inLoop(context.Background(), func() { rules = p.loop.shownRules(time.Now()) })
	return rules
}
