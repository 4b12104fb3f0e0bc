package porter

import (
	"fmt"
	"slices"
	"time"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// MountGuard installs the guard for our interfaces. It is the last step of the start that
// can fail, so that a second nightporter, started by mistake, ends before it replaces the
// tables of the first. Bind mode needs the guard: a kernel that owns the addresses would
// refuse every connection.
func (p *Porter) MountGuard() error {
	k := &p.loop.kernel
	mode, key := p.loop.conf.Claim.Guard, "claim.guard: on"
	if k.bind {
		mode, key = guard.ModeOn, "claim.mode: bind needs the guard"
	}
	err := k.guard.Mount(mode, func() (guard.Table, error) {
		return guard.Install(guard.Options{Interfaces: p.Interfaces(), Bound: k.bind})
	}, k.log, time.Now())
	if err != nil {
		return fmt.Errorf("%s, but there can be none: %w; or set claim.mode to responder and claim.guard to auto", key, err)
	}
	return nil
}

// Repair removes from every interface the addresses and neighbor entries that a crashed
// run left in the kernel. An error matters only in bind mode: without the right to change
// addresses, no earlier run can have left any.
func (p *Porter) Repair() error {
	for _, n := range p.loop.nics {
		err := n.repair()
		switch {
		case err == nil:
		case p.loop.kernel.bind:
			return fmt.Errorf("claim.mode: bind, but the addresses of %s cannot be changed: %w", n.name, err)
		default:
			p.loop.log.Debug("cannot remove what an earlier run left in the kernel", "event", "repair_failed", "interface", n.name, "err", err)
		}
	}
	return nil
}

// Resume restores the machines of the journal, and writes later events to it.
func (p *Porter) Resume(events eventLog, past journal.Past) {
	l := p.loop
	l.journal = events
	now := time.Now()
	own, err := lan.HostMACs()
	if err != nil {
		l.log.Debug("cannot read the interfaces of this host", "event", "interfaces_unknown", "err", err)
	}
	for _, named := range []bool{true, false} { // machines with allowed names keep them
		for _, mem := range past.Machines {
			switch {
			case named != (machine.CheckName(mem.Spec.Name) == nil):
			case slices.Contains(own, mem.Spec.MAC): // no registration would be accepted
				l.log.Warn("cannot restore machine from journal", "event", "resume_failed", "machine", mem.Spec.Name, "mac", mem.Spec.MAC,
					"err", "mac: found that of an interface of this host")
				forgetInJournal(l.journal, mem.Spec, "its mac is that of an interface of this host")
			default:
				l.resume(mem, past.Until, now)
			}
		}
	}
	if n := len(past.Machines); n > 0 {
		l.log.Info("machines restored from the journal", "event", "resumed_all", "machines", n, "last_seen", past.Seen)
	}
	l.place()
	for _, e := range l.machines.sorted() {
		l.dispatch(e, machine.ReceptionLost{Until: now.Add(switchPause)})
	}
}
