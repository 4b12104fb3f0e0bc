package porter

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/fastpath"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
)

// interfaces are those that the porter works on.
type interfaces struct {
	nics    []*nic // never others; what is open on each is
	log     *slog.Logger
	metrics *metrics.Metrics

	sightings chan fastpath.Sighting
	kicks     chan struct{}   // a reader has failed
	reading   context.Context // of the readers; nil while there are none
}

func newInterfaces(m *metrics.Metrics, log *slog.Logger) interfaces {
	return interfaces{log: log, metrics: m, sightings: make(chan fastpath.Sighting, sightingQueue), kicks: make(chan struct{}, 1)}
}

// open opens the interfaces that the configuration names, or the one of the
// default route. It is an error if none can be opened; one that cannot is waited
// for beside another.
func (i *interfaces) open(conf *config.Config) error {
	names := conf.Interfaces
	if len(names) == 0 {
		name, err := lan.DefaultInterface()
		if err != nil {
			return err
		}
		names = []string{name}
	}
	var failed error
	open := 0
	for _, name := range names {
		n := newNIC(name, conf.Wake.Local, i.sightings, i.replied, i.log)
		i.nics = append(i.nics, n)
		err := n.open(i.log)
		if err == nil {
			n.known = *n.network.Load()
			open++
			continue
		}
		if notReady := new(lan.NotReadyError); errors.As(err, &notReady) {
			open++ // its network is on its way
		}
		failed = cmp.Or(failed, err)
		n.lose(time.Now(), "cannot be opened: "+err.Error())
	}
	if open == 0 {
		return failed
	}
	return nil
}

// replied counts an answer that a reader gave.
func (i *interfaces) replied(k lan.Kind) {
	if k == lan.NeighborSolicitation {
		i.metrics.NDPReplied()
		return
	}
	i.metrics.ARPReplied()
}

func (i *interfaces) names() []string {
	names := make([]string, len(i.nics))
	for at, n := range i.nics {
		names[at] = n.name
	}
	return names
}

// listen has the readers of all interfaces work until ctx ends.
func (i *interfaces) listen(ctx context.Context) {
	i.reading = ctx
	for _, n := range i.nics {
		n.listen(ctx, i.kick)
	}
}

// kick has the loop look at what is wrong with a link. It never blocks.
func (i *interfaces) kick() {
	select {
	case i.kicks <- struct{}{}:
	default: // it is about to look
	}
}

// reopen gives n a new link in place of the old one. The readers of that end
// first.
func (i *interfaces) reopen(n *nic) error {
	was, old := n.opened(), n.link.Load()
	n.Close()
	if err := n.open(i.log); err != nil {
		return err
	}
	if is := n.opened(); is != was && old != nil {
		i.log.Info("interface changed, reopened", "event", "interface_reopened", "interface", n.name,
			"index", is.Index, "mac", is.MAC, "mtu", is.MTU, "mac_before", was.MAC)
	}
	if i.reading != nil {
		n.listen(i.reading, i.kick)
	}
	n.stale = true
	if old == nil {
		return n.repair() // what an earlier run left
	}
	if err := n.link.Load().AdoptGroups(old.Interface); err != nil {
		i.log.Debug("cannot join groups on a link that is new", "event", "group_failed", "interface", n.name, "err", err)
	}
	return nil
}

// of returns where a machine lives. One that has no place so far may live
// anywhere.
func (i *interfaces) of(e *entry) []*nic {
	if e.nic != nil {
		return []*nic{e.nic}
	}
	return i.nics
}

// where returns the interface on whose network a machine is to be looked for, or
// nil. An IPv6 link-local address may be on any network, so it does not tell which.
func (i *interfaces) where(spec machine.Spec, views map[*nic]*netView) *nic {
	if len(i.nics) == 1 {
		return i.nics[0]
	}
	for _, n := range i.nics {
		if v := views[n]; v != nil && slices.ContainsFunc(spec.Monitor, func(a machine.Address) bool {
			return !a.IP.IsLinkLocalUnicast() && v.OnLink(a.IP)
		}) {
			return n
		}
	}
	return nil
}

// find returns the interface of a machine: the one its peer's zone names, the
// one on whose network the machine is to be found, else the one the peer is on,
// else the first, where the rules of trust will refuse it with a reason. It is
// for any goroutine.
func (i *interfaces) find(addrs []netip.Addr, peer netip.Addr) (*nic, error) {
	for _, n := range i.nics {
		if peer.Zone() != "" && peer.Zone() == n.name {
			return n, nil
		}
	}
	for range 2 {
		for _, ip := range append(slices.Clone(addrs), peer.Unmap()) {
			for _, n := range i.nics {
				if !ip.IsLinkLocalUnicast() && n.network.Load().Contains(ip) {
					return n, nil
				}
			}
		}
		// An interface may have got its address since we looked last.
		for _, n := range i.nics {
			if n.out() != nil {
				continue
			}
			if err := n.read(n.Index()); err != nil {
				return nil, err
			}
		}
	}
	return i.nics[0], nil
}

// number tells this porter from others, from one start to the next.
func (i *interfaces) number() uint64 {
	h := fnv.New64a()
	for _, n := range i.nics {
		mac := n.MAC()
		h.Write(mac[:])
	}
	return h.Sum64()
}
