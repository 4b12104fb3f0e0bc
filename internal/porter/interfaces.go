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

	"nightporter/internal/claim"
	"nightporter/internal/config"
	"nightporter/internal/fastpath"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
)

// sightingQueue is how many sightings may wait for the loop. Each watched machine has
// at most a few on their way at once.
const sightingQueue = 8192

// interfaces are the network interfaces that the porter works on.
type interfaces struct {
	nics    []*nic // never changes; the link of each may
	log     *slog.Logger
	metrics *metrics.Metrics

	working        chan struct{} // closed once there is one to work on
	sightings      chan fastpath.Sighting
	readerFailures chan struct{}   // a reader has ended with an error
	reading        context.Context // of the readers; nil while there are none
}

func newInterfaces(m *metrics.Metrics, log *slog.Logger) interfaces {
	return interfaces{log: log, metrics: m, working: make(chan struct{}), sightings: make(chan fastpath.Sighting, sightingQueue), readerFailures: make(chan struct{}, 1)}
}

// open opens the configured interfaces, or that of the default route. An interface that
// does not exist yet is opened when it appears. Any other failure is an error only if all
// interfaces fail.
func (i *interfaces) open(conf *config.Config) error {
	names := conf.Interfaces
	if len(names) == 0 {
		names = []string{""}
	}
	var failed error
	works := 0
	for _, name := range names {
		n := newNIC(name, conf.Wake.Local, i.sightings, i.replied, i.log)
		i.nics = append(i.nics, n)
		err := n.open(i.log)
		if err == nil {
			n.applied = *n.network.Load()
			works++
			continue
		}
		if mayAppear(err) {
			works++
		}
		failed = cmp.Or(failed, err)
		n.setUnavailable(time.Now(), openFault(err))
	}
	if works == 0 {
		return failed
	}
	return nil
}

// mayAppear reports whether an interface that cannot be opened may work later: the host
// has just started, or the cable is out.
func mayAppear(err error) bool {
	_, notReady := errors.AsType[*lan.NotReadyError](err)
	return notReady || errors.Is(err, lan.ErrNoInterface) || errors.Is(err, lan.ErrNoDefaultRoute)
}

// openFault returns why an interface could not be opened.
func openFault(err error) string {
	if errors.Is(err, lan.ErrNoDefaultRoute) {
		return "is not known yet: " + err.Error()
	}
	return "cannot be opened: " + err.Error()
}

// named returns the interfaces whose names are known. It is for any goroutine.
func (i *interfaces) named() []*nic {
	return slices.DeleteFunc(slices.Clone(i.nics), func(n *nic) bool { return n.unnamed.Load() })
}

// replied counts an ARP or NDP answer of a reader.
func (i *interfaces) replied(k lan.Kind) {
	if k == lan.NeighborSolicitation {
		i.metrics.NDPReplied()
		return
	}
	i.metrics.ARPReplied()
}

func (i *interfaces) names() []string {
	known := i.named()
	names := make([]string, len(known))
	for at, n := range known {
		names[at] = n.name
	}
	return names
}

// listen has the readers of all interfaces work until ctx ends.
func (i *interfaces) listen(ctx context.Context) {
	i.reading = ctx
	for _, n := range i.nics {
		n.listen(ctx, i.reportReaderFailure)
	}
}

// works records that an interface works.
func (i *interfaces) works() {
	select {
	case <-i.working:
	default:
		close(i.working)
	}
}

// reportReaderFailure makes the loop look for failed readers. It never blocks.
func (i *interfaces) reportReaderFailure() {
	select {
	case i.readerFailures <- struct{}{}:
	default: // a report is queued already
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
		n.listen(i.reading, i.reportReaderFailure)
	}
	n.viewStale = true
	if old == nil {
		return n.repair() // what an earlier run left
	}
	if err := n.link.Load().AdoptGroups(old.Interface); err != nil {
		i.log.Debug("cannot join groups on a link that is new", "event", "group_failed", "interface", n.name, "err", err)
	}
	return nil
}

// nicsOf returns the interfaces on which a machine may be: its own, or all while that is
// not known.
func (i *interfaces) nicsOf(e *entry) []*nic {
	if e.nic != nil {
		return []*nic{e.nic}
	}
	return i.nics
}

// nicForSpec returns the interface whose network has an address of the machine, or nil.
// An IPv6 link-local address fits every interface, so it selects none.
func (i *interfaces) nicForSpec(spec machine.Spec, views map[*nic]*netView) *nic {
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

// nicForPeer returns the interface of a machine that registers: that of the peer's zone,
// else the one whose network has an address of the machine, else the one whose network
// has the peer, else the first, where the rules of trust refuse it with a reason. It is
// for any goroutine.
func (i *interfaces) nicForPeer(addrs []netip.Addr, peer netip.Addr) (*nic, error) {
	for _, n := range i.named() {
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
		// An interface may have a new address since the last read.
		for _, n := range i.nics {
			if n.unavailable() != nil {
				continue
			}
			if err := n.read(n.Index()); err != nil {
				return nil, err
			}
		}
	}
	return i.nics[0], nil
}

// identity distinguishes this porter from others on the LAN. It is the same after a
// restart.
func (i *interfaces) identity() uint64 {
	h := fnv.New64a()
	for _, n := range i.nics {
		mac := n.MAC()
		h.Write(mac[:])
	}
	return h.Sum64()
}

// newNIC returns an interface that is not open; without a name that of the default route.
// With local its readers also see what our own host sends.
func newNIC(name string, local bool, sightings chan<- fastpath.Sighting, replied func(lan.Kind), log *slog.Logger) *nic {
	n := &nic{name: cmp.Or(name, ofDefaultRoute), local: local}
	n.unnamed.Store(name == "")
	n.log = log.With("interface", n.name)
	n.network.Store(&lan.Network{Name: name})
	n.unicastLimit = newUnicastLimitOfAll()
	n.observe, n.transmit = n.observeKernel, n.Send
	send := func(frame []byte) error { return n.transmit(frame) }
	n.reader = fastpath.New(fastpath.Options{Send: send, Forward: n.forward, Replied: replied, Sightings: sightings})
	n.binder = claim.NewBinder(n.Index)
	n.announcer.Send = n.announce
	return n
}
