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

// netView is what the rules have to know of an interface and its network, as it is
// at one moment.
type netView struct {
	*nic
	network lan.Network
	local   []netip.Addr // of the host, on any interface
	macs    []ether.MAC  // of the host's interfaces

	neighbors map[netip.Addr]ether.MAC // where other hosts are, as the kernel knows it
	heard     map[netip.Addr]ether.MAC // the same, as the readers heard it
	gateways  []ether.MAC              // the MACs of the gateways

	previous []netip.Addr // by the machine that it is about: a gateway may have answered for it there
}

// readNetView asks the kernel.
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

// of returns the view for a machine that has had these addresses.
func (v *netView) withHistory(had []netip.Addr) *netView {
	own := *v
	own.previous = had
	return &own
}

// surroundings returns what the readers have to know.
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

// mostChanges is how many addresses are logged one by one when their network comes
// or goes.
const maxLoggedChanges = 8

// place judges where each address of each machine can be claimed now, and has the
// machines know where that changed.
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
		if e.managed() { // else nothing says yet that it is here
			changed = l.placeEntry(e, views, holders, changed)
		}
	}
	if changed > maxLoggedChanges {
		l.log.Info("many addresses came to a network or lost theirs", "event", "addresses_moved", "addresses", changed)
	}
}

// placeEntry is place for one machine. changed is how many addresses got or lost their
// place so far.
func (l *loop) placeEntry(e *entry, views map[*nic]*netView, holders map[netip.Addr]*entry, changed int) int {
	spec := e.Spec()
	if e.nic == nil {
		if n := l.interfaces.nicForSpec(spec, views); n != nil {
			e.settleOn(n, l.log)
		}
	}
	v := views[e.nic]
	if e.nic != nil && v == nil && e.placed != nil {
		return changed // the interface is out: what was known of its network stays
	}
	if v != nil {
		v = v.withHistory(spec.Addrs())
	}
	places := make([]machine.Place, len(spec.Monitor))
	for i, a := range spec.Monitor {
		p := e.placeOf(a, v, l.interfaces.names())
		if p.Reason == "" && l.conf.Registration.Trust == registration.Self.String() && e.isUnconfiguredHosted(a) {
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
		e.nic.viewStale = true // an address may be another machine's now, or no more
	}
	for _, a := range spec.Monitor {
		// What our host uses now cannot be a machine's.
		if v != nil && v.Own(a.IP) {
			l.dispatch(e, machine.Conflicted{Addr: a.IP, By: e.nic.MAC()})
		}
	}
	l.dispatch(e, machine.Placed{Places: places})
	return changed
}

// settleOn begins to look for a machine on an interface.
func (e *entry) settleOn(n *nic, log *slog.Logger) {
	spec := e.Spec()
	log.Info("machine is looked for", "event", "placed", "machine", e, "mac", spec.MAC, "monitor", monitored(spec), "interface", n.name, "state", e.State().String())
	e.nic = n
	n.viewStale = true
}

// placeOf judges one address on an interface; v is that of the machine, and nil where
// the interface is out.
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
		switch p.Waiting {
		case registration.NoAnswer, registration.GuestSilent, registration.NotFound: // it may answer at any moment
		default:
			places[i].Reason = string(p.Waiting)
		}
	}
	return places
}
