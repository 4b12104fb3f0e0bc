package porter

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/guard"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// What our own host's kernel has to know about claimed addresses: the guard keeps
// it silent about them; in bind mode it owns them; under wake.local its programs
// wait here like any client; and once a machine is up it learns where that is.

// MountGuard makes the guard for our interfaces. It comes after everything else
// that can fail at the start: a second nightporter, started by mistake, then
// ends before it has touched the first one's table. In bind mode there has to be
// one: a kernel that owns the addresses refuses every connection.
func (p *Porter) MountGuard() error {
	mode, key := p.conf.Claim.Guard, "claim.guard: on"
	if p.bound() {
		mode, key = guard.ModeOn, "claim.mode: bind needs the guard"
	}
	err := p.guard.Mount(mode, func() (guard.Table, error) {
		return guard.Install(guard.Options{Interfaces: p.Interfaces(), Bound: p.bound()})
	}, p.log, time.Now())
	if err != nil {
		return fmt.Errorf("%s, but there can be none: %w; or set claim.mode to responder and claim.guard to auto", key, err)
	}
	return nil
}

// Guard returns whether our kernel is kept silent about claimed addresses.
func (p *Porter) Guard() guard.Status { return p.guard.Status() }

// GuardNeeded reports whether the absence of the guard would matter at present.
func (p *Porter) GuardNeeded() bool { return p.guard.Needed() }

// own has the kernel own addresses, or treat them as at our own MAC.
func (p *Porter) own(r *entry, addrs []netip.Addr) {
	// A kernel that owned addresses without the guard would refuse all connections.
	guarded := p.Guard().Active
	p.disowned = p.disowned || !guarded
	if p.bound() && guarded {
		if err := r.nic.binder.Bind(addrs...); err != nil {
			p.log.Error("cannot add claimed addresses to the interface", "machine", r, "err", err)
		}
	}
	p.pinForHost(r, addrs)
}

// pinForHost leads what programs of our own host send to addresses to us.
func (p *Porter) pinForHost(r *entry, addrs []netip.Addr) {
	if !r.nic.local {
		return
	}
	for _, ip := range addrs {
		if err := lan.PinNeighbor(r.nic.Index(), ip, r.nic.MAC()); err != nil {
			p.log.Warn("programs of this host cannot wake the machine", "machine", r, "ip", ip, "err", err)
		}
	}
}

// disown ends what own began, as far as the machine itself must not be
// disturbed by it.
func (p *Porter) disown(r *entry, addrs []netip.Addr) {
	if !p.bound() {
		return
	}
	if err := r.nic.binder.Unbind(addrs...); err != nil {
		p.log.Error("cannot remove claimed addresses from the interface", "machine", r, "err", err)
	}
}

// guideHost has our kernel know that addresses are at their machine: its own entry
// went bad while the machine slept, and would keep local programs waiting.
func (p *Porter) guideHost(n *nic, addrs []netip.Addr, mac machine.MAC) {
	for _, ip := range addrs {
		if err := lan.SetNeighbor(n.Index(), ip, mac); err != nil {
			p.log.Debug("cannot tell our own kernel where a machine is", "mac", mac, "ip", ip, "err", err)
		}
	}
}

// letHostAsk has our kernel find out by itself where addresses are.
func (p *Porter) letHostAsk(r *entry, addrs []netip.Addr) {
	if !r.nic.local {
		return
	}
	for _, ip := range addrs {
		if err := lan.DropNeighbor(r.nic.Index(), ip); err != nil {
			p.log.Debug("cannot drop a neighbour entry", "machine", r, "ip", ip, "err", err)
		}
	}
}

// checkOwned puts back what was removed from the interfaces by others. The kernel
// owns addresses only while the guard works.
func (p *Porter) checkOwned() {
	if guarded := p.Guard().Active; guarded == p.disowned {
		p.disowned = !guarded
		for _, r := range p.sorted() {
			switch s := r.State(); {
			case r.nic == nil || s != machine.Asleep && s != machine.Waking:
			case guarded:
				p.own(r, r.Claimed())
			default:
				p.disown(r, r.Claimed())
			}
		}
	}
	for _, n := range p.nics {
		if n.out() == nil { // else it is looked after when it is back
			p.checkBound(n)
		}
	}
}

// checkBound makes the interface have what our kernel is to own.
func (p *Porter) checkBound(n *nic) {
	err := n.binder.Check()
	switch {
	case err != nil && !n.refused:
		p.log.Error("cannot look after the claimed addresses of the interface", "interface", n.name, "err", err, "again_every", guard.CheckInterval)
	case err == nil && n.refused:
		p.log.Info("the interface has the claimed addresses again", "interface", n.name)
	}
	n.refused = err != nil
}

func (p *Porter) bound() bool { return p.started.Claim.Mode == config.ModeBind }

// repair removes what an earlier run left in the kernel when it crashed.
func (n *nic) repair() error {
	failed := n.binder.Clear()
	pinned, err := lan.PinnedNeighbors(n.Index(), n.MAC())
	failed = errors.Join(failed, err)
	for _, ip := range pinned {
		failed = errors.Join(failed, lan.DropNeighbor(n.Index(), ip))
	}
	return failed
}

// Repair removes from every interface what an earlier run left in the kernel.
// Without the right to change addresses there is nothing of ours to remove, but in
// bind mode it is needed.
func (p *Porter) Repair() error {
	for _, n := range p.nics {
		err := n.repair()
		switch {
		case err == nil:
		case p.bound():
			return fmt.Errorf("claim.mode: bind, but the addresses of %s cannot be changed: %w", n.Name(), err)
		default:
			p.log.Debug("cannot look for what an earlier run left", "interface", n.Name(), "err", err)
		}
	}
	return nil
}

// sentByHost takes what our own host sends to watched machines.
func (n *nic) sentByHost(p *lan.Packet) {
	// Only what our neighbour entry sends nowhere; the rest is on its way.
	n.reader.visit(n.reader.view.Load(), p)
}
