package porter

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/fastpath"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// netView is the state of an interface and its network at one moment, for the rules of
// trust.
type netView struct {
	*nic
	network lan.Network
	local   []netip.Addr // our host's addresses, on any interface
	macs    []ether.MAC  // of our host's interfaces

	neighbors map[netip.Addr]ether.MAC // MACs of other hosts, from the kernel
	heard     map[netip.Addr]ether.MAC // the same, from the readers
	gateways  []ether.MAC              // the MACs of the gateways

	previous []netip.Addr // previous addresses of the machine in question: a gateway may answer for them
}

// readNetView reads the view from the kernel.
func (n *nic) readNetView() (*netView, error) {
	if err := n.unavailable(); err != nil {
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
	if v.neighbors, err = lan.KnownNeighbors(n.Index()); err != nil {
		return nil, fmt.Errorf("read the neighbor table: %w", err)
	}
	v.heard = n.reader.NeighborMACs()
	v.gateways = n.routers.learn(time.Now(), v.network.Gateways, v.neighbors, v.heard)
	return v, nil
}

// Gateway reports whether ip is the next hop of a route, or another address of such a
// host.
func (v *netView) Gateway(ip netip.Addr) bool {
	switch {
	case slices.Contains(v.network.Gateways, ip):
		return true
	case slices.Contains(v.previous, ip):
		return false
	}
	return v.routers.has(ip, time.Now()) || v.GatewayMAC(v.neighbors[ip]) || v.GatewayMAC(v.heard[ip])
}

// withHistory returns the view for a machine that had these addresses before.
func (v *netView) withHistory(had []netip.Addr) *netView {
	own := *v
	own.previous = had
	return &own
}

// surroundings returns the part of the view that the readers need.
func (v *netView) surroundings() fastpath.Surroundings {
	own := make(map[netip.Addr]bool)
	for _, ip := range v.local {
		own[ip] = true
	}
	return fastpath.Surroundings{Own: own, Network: v.network}
}

func (v *netView) Own(ip netip.Addr) bool {
	return slices.Contains(v.local, ip) || v.network.Own(ip)
}

func (v *netView) OnLink(ip netip.Addr) bool     { return v.network.Contains(ip) }
func (v *netView) Broadcast(ip netip.Addr) bool  { return v.network.IsBroadcast(ip) }
func (v *netView) Anycast(ip netip.Addr) bool    { return v.network.IsAnycast(ip) }
func (v *netView) OwnMAC(mac ether.MAC) bool     { return slices.Contains(v.macs, mac) }
func (v *netView) GatewayMAC(mac ether.MAC) bool { return slices.Contains(v.gateways, mac) }
func (v *netView) CanResolve(ip netip.Addr) bool { return v.network.MayContain(ip) }

func (v *netView) NeighborMAC(ip netip.Addr) (ether.MAC, bool, error) {
	return lan.NeighborMAC(v.Index(), ip)
}

func (v *netView) Resolve(ctx context.Context, ip netip.Addr) ([]ether.MAC, error) {
	ctx, cancel := context.WithTimeout(ctx, fastpath.ResolveTime+time.Second)
	defer cancel()
	return v.reader.Resolve(ctx, ip, func() error { return v.probe(ether.Broadcast, ip) })
}

// maxLoggedChanges is how many addresses are logged one by one when their network appears
// or disappears.
const maxLoggedChanges = 8

// place decides for each address of each machine whether it can be claimed now, and tells
// the machines about changes.
func (l *loop) place() {
	views := make(map[*nic]*netView)
	for _, n := range l.nics {
		if v, err := n.readNetView(); err == nil {
			views[n] = v
			n.reader.SetSurroundings(v.surroundings())
		}
	}
	holders := l.machines.holders()
	changed := 0
	for _, e := range l.machines.sorted() {
		if e.managed() { // else nothing shows yet that it is here
			changed = l.placeEntry(e, views, holders, changed)
		}
	}
	if changed > maxLoggedChanges {
		l.log.Info("many addresses gained or lost their network", "event", "addresses_moved", "addresses", changed)
	}
}

// placeEntry is place for one machine. changed is the number of changed addresses so far;
// the new number is returned.
func (l *loop) placeEntry(e *entry, views map[*nic]*netView, holders map[netip.Addr]*entry, changed int) int {
	spec := e.Spec()
	if e.nic == nil {
		if n := l.interfaces.nicForSpec(spec, views); n != nil {
			e.settleOn(n, l.log)
		}
	}
	v := views[e.nic]
	if e.nic != nil && v == nil && e.placed != nil {
		return changed // the interface is unavailable: the last known places stay
	}
	if v != nil {
		v = v.withHistory(spec.Addrs())
	}
	places := make([]machine.Place, len(spec.Monitor))
	for i, a := range spec.Monitor {
		p := e.placeOf(a, v, l.interfaces.names())
		if p.Reason == "" && l.conf.Registration.Trust == registration.Self.String() && e.isUnconfiguredGuest(a) {
			p.Reason = string(registration.UnconfiguredGuest(a.MAC))
		}
		if other := holders[a.IP]; p.Reason == "" && other != nil && other != e {
			spec := other.Spec()
			p.Reason = fmt.Sprintf("it belongs to %q (%s) already", spec.Name, spec.MAC)
		}
		if p.Reason == "" {
			holders[a.IP] = e
		}
		places[i] = p
		if was := i < len(e.placed) && e.placed[i].Addr == a.IP && e.placed[i].Reason != ""; was != (p.Reason != "") {
			if changed++; changed <= maxLoggedChanges {
				e.logPlace(l.log, a.IP, p.Reason)
			}
		}
	}
	if slices.Equal(places, e.placed) {
		return changed
	}
	e.placed = places
	if e.nic != nil {
		e.nic.viewStale = true // an address may have come from or gone to another machine
	}
	for _, a := range spec.Monitor {
		// An address of our own host cannot be a machine's.
		if v != nil && v.Own(a.IP) {
			l.dispatch(e, machine.Conflicted{Addr: a.IP, By: e.nic.MAC()})
		}
	}
	l.dispatch(e, machine.Placed{Places: places})
	return changed
}

// settleOn makes an interface that of the machine.
func (e *entry) settleOn(n *nic, log *slog.Logger) {
	spec := e.Spec()
	log.Info("machine assigned to an interface", "event", "placed", "machine", e, "mac", spec.MAC, "monitor", monitored(spec), "interface", n.name, "state", e.State().String())
	e.nic = n
	n.viewStale = true
}

// placeOf decides for one address whether it can be claimed. v is the view of the machine's
// interface, and nil if that is unavailable.
func (e *entry) placeOf(a machine.Address, v *netView, interfaces []string) machine.Place {
	ip, spec := a.IP, e.Spec()
	p := machine.Place{Addr: ip}
	switch {
	case v == nil && e.nic == nil:
		p.Reason = "it is in no network of " + strings.Join(interfaces, " or ")
		return p
	case v == nil:
		p.Reason = "the interface is unavailable"
		return p
	case v.OwnMAC(spec.Owner(ip)):
		p.Reason, p.Forbidden = "the MAC is that of an interface of this host", true
		return p
	}
	if what := registration.Forbidden(ip, v); what != "" {
		p.Reason, p.Forbidden = "it is "+what, true
		return p
	}
	switch {
	case v.OnLink(ip):
	case v.CanResolve(ip):
		p.Unproved = true // only an answer of the machine proves that it is on this link
	default:
		p.Reason = string(registration.NoNetwork)
	}
	return p
}

// registeredPlaces converts the verdict on a registration's addresses for the machine.
func registeredPlaces(v registration.Verdict) []machine.Place {
	places := make([]machine.Place, len(v.Places))
	for i, p := range v.Places {
		places[i] = machine.Place{Addr: p.IP, Unproved: p.Unproved || p.Waiting == registration.NotFound}
		switch p.Waiting {
		case registration.NoAnswer, registration.GuestSilent, registration.NotFound: // it may answer at any moment
		default:
			places[i].Reason = string(p.Waiting)
		}
	}
	return places
}
