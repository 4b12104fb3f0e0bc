package porter

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/fastpath"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// netView is what the rules have to know of an interface and its network, as it is
// at one moment.
type netView struct {
	*nic
	network lan.Network
	local   []netip.Addr  // of the host, on any interface
	macs    []machine.MAC // of the host's interfaces
}

// readNetView asks the kernel.
func (n *nic) readNetView() (*netView, error) {
	if err := n.out(); err != nil {
		return nil, err
	}
	if err := n.read(n.Index()); err != nil {
		return nil, err
	}
	v := &netView{nic: n, network: *n.network.Load()}
	var err error
	if v.local, err = lan.HostAddrs(); err != nil {
		return nil, fmt.Errorf("read the host's addresses: %w", err)
	}
	if v.macs, err = lan.HostMACs(); err != nil {
		return nil, fmt.Errorf("read the host's interfaces: %w", err)
	}
	return v, nil
}

func (v *netView) Own(ip netip.Addr) bool {
	return slices.Contains(v.local, ip) || v.network.Own(ip)
}

func (v *netView) Gateway(ip netip.Addr) bool   { return slices.Contains(v.network.Gateways, ip) }
func (v *netView) OnLink(ip netip.Addr) bool    { return v.network.Contains(ip) }
func (v *netView) Broadcast(ip netip.Addr) bool { return v.network.IsBroadcast(ip) }
func (v *netView) OwnMAC(mac machine.MAC) bool  { return slices.Contains(v.macs, mac) }

// CanAsk reports whether a neighbor that has ip can answer a question of ours. To a
// solicitation from a link-local address each can, whatever our prefixes are (RFC
// 4861 section 4.3).
func (v *netView) CanAsk(ip netip.Addr) bool {
	from, ok := v.network.SourceFor(ip)
	return v.OnLink(ip) || ok && ip.Is6() && from.IsLinkLocalUnicast()
}

func (v *netView) NeighborMAC(ip netip.Addr) (machine.MAC, bool, error) {
	return lan.NeighborMAC(v.Index(), ip)
}

func (v *netView) WhoHas(ctx context.Context, ip netip.Addr) ([]machine.MAC, error) {
	ctx, cancel := context.WithTimeout(ctx, fastpath.ResolveTime+time.Second)
	defer cancel()
	return v.reader.Resolve(ctx, ip, func() error { return v.probe(machine.Broadcast, ip) })
}

// place judges where each address of each machine can be claimed now, and has the
// machines know where that changed. While an interface is out, what was known of
// its network stays.
func (l *loop) place() {
	views := make(map[*nic]*netView)
	for _, n := range l.nics {
		if v, err := n.readNetView(); err == nil {
			views[n] = v
		}
	}
	owners := l.owners()
	var changes []change
	for _, e := range l.machines.sorted() {
		if e.looked() { // else nothing says yet that it is here
			changes = append(changes, l.placeEntry(e, views, owners)...)
		}
	}
	l.logPlaces(changes)
}

// owners returns the machine to which each address belongs: the one that holds it,
// or else that registered it last.
func (l *loop) owners() map[netip.Addr]*entry {
	owners := make(map[netip.Addr]*entry)
	for _, e := range l.machines.sorted() {
		spec := e.Spec()
		for _, a := range spec.Monitor {
			if o := owners[a.IP]; !e.Conceded(a.IP) && (o == nil || !o.holds(a.IP) && (e.holds(a.IP) || e.Registered().After(o.Registered()))) {
				owners[a.IP] = e
			}
		}
	}
	return owners
}

// change is what became of an address's place.
type change struct {
	entry *entry
	place machine.Place
}

func (l *loop) placeEntry(e *entry, views map[*nic]*netView, owners map[netip.Addr]*entry) (changes []change) {
	spec := e.Spec()
	if e.nic == nil {
		if n := l.nicOf(spec, views); n != nil {
			l.settleOn(e, n)
		}
	}
	v := views[e.nic]
	if e.nic != nil && v == nil {
		return nil
	}
	places := make([]machine.Place, len(spec.Monitor))
	for i, a := range spec.Monitor {
		p := l.placeOf(e, a.IP, v)
		if o := owners[a.IP]; p.Reason == "" && o != nil && o != e {
			p.Reason = fmt.Sprintf("it belongs to %q (%s)", o.name(), o.Spec().MAC)
		}
		places[i] = p
		if was := i < len(e.places) && e.places[i].Addr == a.IP && e.places[i].Reason != ""; was != (p.Reason != "") {
			changes = append(changes, change{e, p})
		}
		if v != nil && v.Own(a.IP) { // what our host uses now cannot be a machine's
			l.tell(e, machine.Conflicted{Addr: a.IP, By: e.nic.MAC()})
		}
	}
	if !slices.Equal(places, e.places) {
		e.places = places
		l.tell(e, machine.Placed{Places: places})
	}
	return changes
}

// mostChanges is how many addresses are logged one by one when their network comes
// or goes.
const mostChanges = 8

func (l *loop) logPlaces(changes []change) {
	if len(changes) > mostChanges {
		l.log.Info("the network of many addresses changed", "event", "addresses_moved", "addresses", len(changes),
			"machine", changes[0].entry, "ip", changes[0].place.Addr, "reason", changes[0].place.Reason)
		return
	}
	for _, c := range changes {
		l.logWaits(c.entry, c.place.Addr, c.place.Reason)
	}
}

// nicOf returns the interface on whose network a machine is to be looked for, or
// nil. An IPv6 link-local address may be on any network, so it does not tell which.
func (l *loop) nicOf(spec machine.Spec, views map[*nic]*netView) *nic {
	if len(l.nics) == 1 {
		return l.nics[0]
	}
	for _, n := range l.nics {
		if v := views[n]; v != nil && slices.ContainsFunc(spec.Monitor, func(a machine.Address) bool {
			return !a.IP.IsLinkLocalUnicast() && v.OnLink(a.IP)
		}) {
			return n
		}
	}
	return nil
}

// settleOn begins to look for a machine on an interface.
func (l *loop) settleOn(e *entry, n *nic) {
	spec := e.Spec()
	l.log.Info("machine is looked for", "event", "placed", "machine", e, "mac", spec.MAC, "monitor", monitored(spec), "interface", n.name, "state", e.State().String())
	e.nic = n
	n.stale = true
}

// placeOf judges one address on an interface; v is nil where that is out.
func (l *loop) placeOf(e *entry, ip netip.Addr, v *netView) machine.Place {
	p := machine.Place{Addr: ip}
	switch {
	case v == nil:
		p.Reason = "it is in no network of " + strings.Join(l.interfaces(), " or ")
		return p
	case v.OwnMAC(e.Spec().MAC):
		p.Reason, p.Forbidden = "the MAC is that of an interface of this host", true
		return p
	}
	if what := registration.Forbidden(ip, v); what != "" {
		p.Reason, p.Forbidden = "it is "+what, true
		return p
	}
	switch {
	case v.OnLink(ip):
	case v.CanAsk(ip):
		p.Unproved = true // its own answer proves that it is on this link
	default:
		p.Reason = string(registration.NoNetwork)
	}
	return p
}

// registeredPlaces turns what the rules say of a registration's addresses into what
// the machine has to know.
func registeredPlaces(v registration.Verdict) []machine.Place {
	places := make([]machine.Place, len(v.Places))
	for i, p := range v.Places {
		places[i] = machine.Place{Addr: p.IP, Unproved: p.Unproved || p.Waiting == registration.NotFound}
		if p.Waiting == registration.NoNetwork {
			places[i].Reason = string(p.Waiting)
		}
	}
	return places
}
