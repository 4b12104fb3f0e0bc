package porter

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// netView is the registration rules' view of an interface and its network.
type netView struct {
	*nic
	network lan.Network
	local   []netip.Addr  // of the host, on any interface
	macs    []machine.MAC // of the host's interfaces
}

// readNetView asks the kernel, so that a registration is judged by what holds at this
// moment.
func (n *nic) readNetView() (*netView, error) {
	if err := n.out(); err != nil {
		return nil, err
	}
	if err := n.refresh(); err != nil {
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

func (v *netView) NeighborMAC(ip netip.Addr) (machine.MAC, bool, error) {
	return lan.NeighborMAC(v.Index(), ip)
}

func (v *netView) WhoHas(ctx context.Context, ip netip.Addr) ([]machine.MAC, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTries*lookupPause+time.Second)
	defer cancel()
	return v.reader.lookups.ask(ctx, ip, func() error { return v.probe(machine.Broadcast, ip) })
}

// netViewFor returns the view for a machine with these addresses. Each interface is
// read once.
func (p *Porter) netViewFor(addrs []netip.Addr, known map[*nic]*netView) (*netView, error) {
	n, err := p.nicFor(addrs, netip.Addr{})
	if err != nil || known[n] != nil {
		return known[n], err
	}
	known[n], err = n.readNetView()
	return known[n], err
}

// readNetViews reads every interface. The error names those that are out.
func (p *Porter) readNetViews() (views []*netView, faults error) {
	for _, n := range p.nics {
		v, err := n.readNetView()
		if err != nil {
			faults = errors.Join(faults, err)
			continue
		}
		views = append(views, v)
	}
	return views, faults
}

// netViewOf returns the one of views where spec's machine is to be looked for. An
// IPv6 link-local address may be on any network, so it does not tell which.
func (p *Porter) netViewOf(spec machine.Spec, views []*netView) (*netView, error) {
	for _, v := range views {
		if len(p.nics) == 1 || slices.ContainsFunc(spec.Monitor, func(a machine.Address) bool {
			return !a.IP.IsLinkLocalUnicast() && v.OnLink(a.IP)
		}) {
			return v, p.mayClaim(spec, v)
		}
	}
	return nil, fmt.Errorf("none of its addresses (%s) is in a network of %s", monitored(spec), strings.Join(p.Interfaces(), " or "))
}
