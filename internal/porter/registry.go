package porter

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/machine"
)

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

// holder returns the machine, other than that with the MAC, that has ip as far as
// it is looked after, or nil.
func (r *registry) holder(ip netip.Addr, mac machine.MAC) *entry {
	for other, e := range r.byMAC {
		if other != mac && e.holds(ip) {
			return e
		}
	}
	return nil
}

// at returns the machine on an interface that has a MAC, or whose guest has it, as far
// as it is looked after there, or nil.
func (r *registry) at(n *nic, mac machine.MAC) *entry {
	if t := n.reader.View().Target(mac); t != nil {
		return r.byMAC[t.MAC]
	}
	return nil
}

// share reports whether another machine names one of the addresses of e too.
func (r *registry) share(e *entry) bool {
	spec := e.Spec()
	for _, other := range r.byMAC {
		if others := other.Spec(); other != e && slices.ContainsFunc(others.Monitor, func(a machine.Address) bool { return spec.Has(a.IP) }) {
			return true
		}
	}
	return false
}

// on returns the machines of an interface, by name.
func (r *registry) on(n *nic) []*entry {
	return slices.DeleteFunc(r.sorted(), func(e *entry) bool { return e.nic != n })
}

// holders returns which machine has each address that one has.
func (r *registry) holders() map[netip.Addr]*entry {
	holders := make(map[netip.Addr]*entry)
	for _, e := range r.sorted() {
		spec := e.Spec()
		for _, a := range spec.Monitor {
			if other := holders[a.IP]; e.holds(a.IP) && (other == nil || e.before(other, a.IP)) {
				holders[a.IP] = e
			}
		}
	}
	return holders
}

// userOf returns the known user of an address, although no question to the LAN
// would find it: our own kernel, or a machine that registered it, perhaps asleep.
func (r *registry) userOf(e *entry, ip netip.Addr) (machine.MAC, bool) {
	if e.nic != nil && e.nic.network.Load().Own(ip) {
		return e.nic.MAC(), true
	}
	for _, other := range r.byMAC {
		if other != e && other.attention == machine.Observed && other.Holds(ip) {
			spec := other.Spec()
			return spec.Owner(ip), true
		}
	}
	return machine.MAC{}, false
}

// awaited are the machines that wake or arrive.
type awaited map[*entry]bool

// note takes in the state of a machine.
func (a awaited) note(e *entry) {
	if s := e.State(); s == machine.Waking || s == machine.Arriving {
		a[e] = true
	} else {
		delete(a, e)
	}
}

// pace returns how often one of them may be asked, about any of its services, so
// that all get their share of the questions.
func (a awaited) pace() time.Duration { return time.Second * time.Duration(len(a)) / questions }
