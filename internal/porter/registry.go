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

// registry has every machine, by name, by MAC, and by each of its addresses, which
// others may name too.
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

// list makes a machine known by the addresses of spec.
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

// holder returns the machine, other than that with the MAC, that has ip as far as
// it is looked after, or nil.
func (r *registry) holder(ip netip.Addr, mac ether.MAC) *entry {
	for _, e := range r.byIP[ip] {
		if e.Spec().MAC != mac && e.holds(ip) {
			return e
		}
	}
	return nil
}

// at returns the machine on an interface that has a MAC, or whose guest has it, as far
// as it is looked after there, or nil.
func (r *registry) at(n *nic, mac ether.MAC) *entry {
	if t := n.reader.View().Target(mac); t != nil {
		return r.byMAC[t.MAC]
	}
	return nil
}

// share reports whether another machine names one of the addresses of e too.
func (r *registry) share(e *entry) bool {
	return slices.ContainsFunc(e.Spec().Monitor, func(a machine.Address) bool {
		return slices.ContainsFunc(r.byIP[a.IP], func(other *entry) bool { return other != e })
	})
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
			if other := holders[a.IP]; e.holds(a.IP) && (other == nil || e.precedes(other, a.IP)) {
				holders[a.IP] = e
			}
		}
	}
	return holders
}

// userOf returns the known user of an address, although no question to the LAN
// would find it: our own kernel, or a machine that registered it, perhaps asleep.
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
func (a awaited) pace() time.Duration { return time.Second * time.Duration(len(a)) / probesPerSecond }

// share returns how many frames a second neighbors may be told of one of them.
func (a awaited) share() rate.Limit {
	return min(unicastRate, unicastRateOfAll/rate.Limit(max(len(a), 1)))
}
