package porter

import (
	"log/slog"
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/guard"
	"nightporter/internal/lan"
)

// kernel changes what our own host's kernel does with claimed addresses. The guard keeps it
// silent about them, in bind mode it owns them, under wake.local its neighbor entries lead
// to our MAC, and once a machine is up they get the machine's MAC.
type kernel struct {
	guard    guard.Keeper
	bind     bool // claim.mode: bind
	disowned bool // bind mode: claimed addresses were removed from the interfaces, because the guard is down
	log      *slog.Logger

	deferred []func() // until no client waits
}

// later defers a call to the kernel until no client waits: the kernel's lock on network
// settings (RTNL) can be held for long.
func (k *kernel) later(f func()) { k.deferred = append(k.deferred, f) }

// runDeferred makes the deferred calls.
func (k *kernel) runDeferred() {
	for _, f := range k.deferred {
		f()
	}
	k.deferred = k.deferred[:0]
}

// own makes the kernel silent about addresses, gives them to it in bind mode, and leads
// packets of our own host's programs to our MAC.
func (k *kernel) own(n *nic, addrs []netip.Addr) {
	k.guard.Hold(n.name, addrs)
	// A kernel that owned addresses without the guard would refuse all connections.
	guarded := k.guard.Status().Active
	k.disowned = k.disowned || !guarded
	if k.bind && guarded {
		if err := n.binder.Bind(addrs...); err != nil {
			k.log.Error("cannot add claimed addresses to the interface", "event", "bind_failed", "interface", n.name, "err", err)
		}
	}
	k.pin(n, addrs)
}

// pin sets permanent neighbor entries under wake.local, so that packets of our own host's
// programs to the addresses go to our MAC.
func (k *kernel) pin(n *nic, addrs []netip.Addr) {
	if !n.local {
		return
	}
	for _, ip := range addrs {
		if err := lan.PinNeighbor(n.Index(), ip, n.MAC()); err != nil {
			k.log.Warn("programs of this host cannot wake the machine", "event", "pin_failed", "ip", ip, "err", err)
		}
	}
}

// disown removes addresses from the interface in bind mode: their machine tests them, or
// uses them again.
func (k *kernel) disown(n *nic, addrs []netip.Addr) {
	if !k.bind {
		return
	}
	if err := n.binder.Unbind(addrs...); err != nil {
		k.log.Error("cannot remove claimed addresses from the interface", "event", "unbind_failed", "interface", n.name, "err", err)
	}
}

// releaseGuard ends what own began.
func (k *kernel) releaseGuard(n *nic, addrs []netip.Addr) {
	if n.local { // the kernel resolves them itself from now on
		for _, ip := range addrs {
			if err := lan.DropNeighbor(n.Index(), ip); err != nil {
				k.log.Debug("cannot drop a neighbor entry", "event", "pin_failed", "ip", ip, "err", err)
			}
		}
	}
	k.guard.Release(n.name, addrs)
}

// divertFlows keeps the kernel from forwarding packets of a machine for a client whose MAC
// the machine believes is ours. It returns the addresses of the machine whose packets the
// guard drops.
func (k *kernel) divertFlows(e *entry, client netip.Addr) (guarded []netip.Addr) {
	var added []guard.Flow
	for _, ip := range e.Guarded() {
		if ip.Is4() != client.Is4() {
			continue
		}
		guarded = append(guarded, ip)
		if way := (guard.Flow{From: ip, To: client}); !slices.Contains(e.guardedFlows, way) {
			added = append(added, way)
		}
	}
	if len(added) > 0 {
		e.guardedFlows = append(e.guardedFlows, added...)
		k.guard.Divert(e.nic.name, added)
	}
	if !k.guard.Status().Active {
		return nil
	}
	return guarded
}

// undivertFlows ends divertFlows for some addresses of the machine.
func (k *kernel) undivertFlows(e *entry, addrs []netip.Addr) {
	ends := func(w guard.Flow) bool { return slices.Contains(addrs, w.From) }
	if gone := slices.DeleteFunc(slices.Clone(e.guardedFlows), func(w guard.Flow) bool { return !ends(w) }); len(gone) > 0 {
		e.guardedFlows = slices.DeleteFunc(e.guardedFlows, ends)
		k.guard.Undivert(e.nic.name, gone)
		e.hold.EndGuard(addrs)
	}
}

// setNeighbor gives the kernel the machine's MAC. Its own entry failed while the machine
// slept, and would delay programs of this host.
func (k *kernel) setNeighbor(n *nic, addrs []netip.Addr, mac ether.MAC) {
	for _, ip := range addrs {
		if err := lan.SetNeighbor(n.Index(), ip, mac); err != nil {
			k.log.Debug("cannot set a neighbor entry", "event", "guide_failed", "mac", mac, "ip", ip, "err", err)
		}
	}
}

// checkBound restores missing claimed addresses of the interface in bind mode.
func (k *kernel) checkBound(n *nic) {
	err := n.binder.Check()
	switch {
	case err != nil && !n.bindFailing:
		k.log.Error("cannot check the claimed addresses of the interface", "event", "bind_failed", "interface", n.name, "err", err, "again_every", guard.CheckInterval)
	case err == nil && n.bindFailing:
		k.log.Info("the interface has the claimed addresses again", "event", "bound", "interface", n.name)
	}
	n.bindFailing = err != nil
}

// checkOwned restores claimed addresses that other programs removed from the interfaces.
// The kernel owns addresses only while the guard works.
func (k *kernel) checkOwned(machines []*entry, nics []*nic) {
	if guarded := k.guard.Status().Active; guarded == k.disowned {
		k.disowned = !guarded
		for _, e := range machines {
			switch held := e.Answered(); {
			case e.nic == nil || len(held) == 0:
			case guarded:
				k.own(e.nic, held)
			default:
				k.disown(e.nic, held)
			}
		}
	}
	for _, n := range nics {
		if n.unavailable() == nil { // else restore does it when the interface works again
			k.checkBound(n)
		}
	}
}

// restore sets again what the kernel drops with a link or an address.
func (k *kernel) restore(n *nic, machines []*entry) {
	k.guard.Attach(n.name) // before the kernel owns addresses there
	if err := n.link.Load().CheckGroups(); err != nil {
		k.log.Warn("a switch with MLD snooping may hide solicitations from us", "event", "group_failed", "interface", n.name, "err", err)
	}
	if k.bind && k.guard.Status().Active {
		k.checkBound(n)
	}
	if !n.local {
		return
	}
	pinned, err := lan.PinnedNeighbors(n.Index(), n.MAC())
	if err != nil {
		k.log.Debug("cannot read the neighbor table", "event", "pin_failed", "err", err)
	}
	for _, e := range machines {
		k.pin(n, slices.DeleteFunc(e.Claimed(), func(ip netip.Addr) bool { return slices.Contains(pinned, ip) }))
	}
}
