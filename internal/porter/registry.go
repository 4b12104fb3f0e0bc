package porter

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// registry indexes the machines by name, by MAC, and by each of their addresses, which
// several machines may have.
type registry struct {
	named map[string]*entry
	byMAC map[ether.MAC]*entry
	byIP  map[netip.Addr][]*entry
	macs  *sync.Map // the keys of byMAC, for any goroutine
}

func newRegistry() registry {
	return registry{named: make(map[string]*entry), byMAC: make(map[ether.MAC]*entry), byIP: make(map[netip.Addr][]*entry), macs: new(sync.Map)}
}

func (r *registry) add(e *entry) {
	spec := e.Spec()
	r.named[spec.Name], r.byMAC[spec.MAC] = e, e
	r.macs.Store(spec.MAC, true)
	r.list(e, spec)
}

func (r *registry) remove(e *entry) {
	spec := e.Spec()
	delete(r.named, spec.Name)
	delete(r.byMAC, spec.MAC)
	r.macs.Delete(spec.MAC)
	r.unlist(e, spec)
}

// knows reports whether a machine has a MAC, on any goroutine.
func (r *registry) knows(mac ether.MAC) bool {
	_, ok := r.macs.Load(mac)
	return ok
}

// list indexes a machine by the addresses of spec.
func (r *registry) list(e *entry, spec machine.Spec) {
	for _, a := range spec.Monitor {
		r.byIP[a.IP] = append(r.byIP[a.IP], e)
	}
}

func (r *registry) unlist(e *entry, spec machine.Spec) {
	for _, a := range spec.Monitor {
		r.byIP[a.IP] = slices.DeleteFunc(r.byIP[a.IP], func(other *entry) bool { return other == e })
		if len(r.byIP[a.IP]) == 0 {
			delete(r.byIP, a.IP)
		}
	}
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

// holder returns the observed machine, other than that with the MAC, that has ip, or nil.
func (r *registry) holder(ip netip.Addr, mac ether.MAC) *entry {
	for _, e := range r.byIP[ip] {
		if e.Spec().MAC != mac && e.holds(ip) {
			return e
		}
	}
	return nil
}

// at returns the observed machine on an interface that has a MAC, or whose guest has it, or
// nil.
func (r *registry) at(n *nic, mac ether.MAC) *entry {
	if t := n.reader.View().Target(mac); t != nil {
		return r.byMAC[t.MAC]
	}
	return nil
}

// share reports whether another machine has one of the addresses of e too.
func (r *registry) share(e *entry) bool {
	return slices.ContainsFunc(e.Spec().Monitor, func(a machine.Address) bool {
		return slices.ContainsFunc(r.byIP[a.IP], func(other *entry) bool { return other != e })
	})
}

// on returns the machines of an interface, by name.
func (r *registry) on(n *nic) []*entry {
	return slices.DeleteFunc(r.sorted(), func(e *entry) bool { return e.nic != n })
}

// holders returns the machine of each address.
func (r *registry) holders() map[netip.Addr]*entry {
	holders := make(map[netip.Addr]*entry)
	for _, e := range r.sorted() {
		spec := e.Spec()
		for _, a := range spec.Monitor {
			if other := holders[a.IP]; e.holds(a.IP) && (other == nil || e.precedes(other, a.IP)) {
				holders[a.IP] = e
			}
		}
	}
	return holders
}

// userOf returns the user of an address that no probe would find: our own kernel, or
// another machine that registered it, perhaps asleep.
func (r *registry) userOf(e *entry, ip netip.Addr) (ether.MAC, bool) {
	if e.nic != nil && e.nic.network.Load().Own(ip) {
		return e.nic.MAC(), true
	}
	for _, other := range r.byIP[ip] {
		if other != e && other.attention == machine.ObserveAll && other.HasAddress(ip) {
			spec := other.Spec()
			return spec.Owner(ip), true
		}
	}
	return ether.MAC{}, false
}

// probesPerSecond bounds the probes of all machines that wake or arrive, together. That
// is plenty for a home, and little traffic for a LAN.
const probesPerSecond = 4000

// awaited is the set of machines that wake or arrive.
type awaited map[*entry]bool

// note adds or removes a machine by its state.
func (a awaited) note(e *entry) {
	if s := e.State(); s == machine.Waking || s == machine.Arriving {
		a[e] = true
	} else {
		delete(a, e)
	}
}

// pace returns the pause between two probes of one machine, so that all machines share
// probesPerSecond.
func (a awaited) pace() time.Duration { return time.Second * time.Duration(len(a)) / probesPerSecond }

// share returns the unicast rate of one machine, in frames per second.
func (a awaited) share() rate.Limit {
	return min(unicastRate, unicastRateOfAll/rate.Limit(max(len(a), 1)))
}
