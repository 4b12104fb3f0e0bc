package porter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"nightporter/internal/claim"
	"nightporter/internal/ether"
	"nightporter/internal/fastpath"
	"nightporter/internal/lan"
	"nightporter/internal/timerqueue"
)

// nic is one configured interface, identified by its name. It stays when the kernel's
// interface is removed and created again; its link is replaced then. The fields in the
// second group belong to the loop.
type nic struct {
	name    string
	unnamed atomic.Bool // it is that of the default route, and there is no such route so far
	local   bool        // programs of our own host may wake machines
	log     *slog.Logger
	link    atomic.Pointer[lan.Link]    // nil until the interface was opened once
	network atomic.Pointer[lan.Network] // as last read from the kernel
	reader  *fastpath.Reader
	routers routers

	networkMutex sync.Mutex            // held while network is read, so that an older read does not overwrite a newer one
	fault        atomic.Pointer[error] // why it is unavailable; nil: it works

	// Only for the loop.
	failed        chan error // errors of readers that ended
	announcer     claim.Announcer
	binder        *claim.Binder
	corrections   corrections
	pins          timerqueue.Queue[*entry] // rounds of pins for arriving machines
	unicastLimit  *rate.Limiter            // of frames that correct neighbors one by one
	viewStale     bool                     // the readers need a new view
	filterFailing bool                     // the kernel filter could not be set, and that is logged
	bindFailing   bool                     // claimed addresses could not be bound, and that is logged
	skippedBefore uint64                   // skipped sightings that were handled
	probeCount    uint16                   // counts probes of services and pings
	applied       lan.Network              // the network as of the last inspection
	outSince      time.Time                // when it became unavailable
	inspectAt     time.Time                // when to inspect the interface again; zero: never
	pendingChange lan.Change               // changes of failed inspections, for the next one
	reannounceAt  time.Time                // when to announce the claims again; zero: never
	routersAt     time.Time                // when to update the MACs of the gateways

	observe  func() (lan.Observation, error) // reads the kernel's state; tests replace it
	transmit func(frame []byte) error        // sends a frame; tests replace it
}

// ofDefaultRoute stands for the name of an interface that is not known yet. No interface
// has this name: Linux accepts no space in a name (dev_valid_name).
const ofDefaultRoute = "of the default route"

// open gives n a new link in place of a closed one, and reads its network.
func (n *nic) open(log *slog.Logger) error {
	name := n.name
	if n.unnamed.Load() {
		var err error
		if name, err = lan.DefaultInterface(); err != nil {
			return err
		}
	}
	link, err := lan.OpenLink(name, n.local, n.link.Load(), log)
	if err != nil {
		return err
	}
	if n.unnamed.Load() {
		n.name, n.log = name, log.With("interface", name)
		n.unnamed.Store(false) // other goroutines read the name from now on
	}
	n.reader.SetSelf(link.MAC())
	n.link.Store(link)
	return n.read(n.Index())
}

// listen runs the readers of n until ctx ends or the link is closed. A reader that fails
// puts its error into failed and calls kick.
func (n *nic) listen(ctx context.Context, kick func()) {
	if n.closed() {
		return
	}
	failed := make(chan error, lan.LinkReaders)
	n.failed = failed
	n.link.Load().Listen(ctx, lan.Handlers{
		Received: n.reader.Handle,
		Sent:     n.reader.HandleOutgoing,
		Failed: func(err error) {
			failed <- err
			kick()
		},
	})
}

// wait waits until the readers have ended.
func (n *nic) wait() error {
	if link := n.link.Load(); link != nil {
		return link.Wait()
	}
	return nil
}

// Close closes what is open on the interface.
func (n *nic) Close() error {
	if link := n.link.Load(); link != nil {
		return link.Close()
	}
	return nil
}

// closed reports whether there is no open link.
func (n *nic) closed() bool {
	link := n.link.Load()
	return link == nil || link.Closed()
}

// unread reports whether there are received frames that no reader has handled yet.
func (n *nic) unread() bool {
	link := n.link.Load()
	return link != nil && link.Unread()
}

// opened returns the status with which the link was opened, or the zero one if it is
// closed.
func (n *nic) opened() lan.Status {
	if n.closed() {
		return lan.Status{}
	}
	return n.link.Load().Opened()
}

// Index returns the interface index as of the last open, or 0.
func (n *nic) Index() int {
	if link := n.link.Load(); link != nil {
		return link.Index()
	}
	return 0
}

// MAC returns our MAC on the interface as of the last open, or the zero one.
func (n *nic) MAC() ether.MAC {
	if link := n.link.Load(); link != nil {
		return link.MAC()
	}
	return ether.MAC{}
}

// Send puts a frame on the wire.
func (n *nic) Send(frame []byte) error {
	if link := n.link.Load(); link != nil {
		return link.Send(frame)
	}
	return net.ErrClosed
}

// forward sends a received packet on to a machine.
func (n *nic) forward(p *lan.Packet, to ether.MAC) error {
	link := n.link.Load()
	if link == nil {
		return net.ErrClosed
	}
	return lan.Forward(p, link.MAC(), to, link.MTU(), n.transmit)
}

// setInterest sets the kernel filter for a view. Without an open link it does nothing: the
// view is published again after an open.
func (n *nic) setInterest(v *fastpath.View) error {
	if n.closed() || n.unavailable() != nil {
		return nil
	}
	return n.link.Load().SetInterest(v.Interest(n.ownAddresses()))
}

// noteForwarding tells the readers whether our own kernel forwards packets.
func (n *nic) noteForwarding() {
	n.reader.SetKernelForwards(lan.Forwards(n.name, netip.IPv4Unspecified()), lan.Forwards(n.name, netip.IPv6Unspecified()))
}

// unavailable returns why the interface cannot be used, or nil.
func (n *nic) unavailable() error {
	if fault := n.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

// faultError returns an error that names the interface, or nil for an empty text.
func (n *nic) faultError(what string) error {
	if what == "" {
		return nil
	}
	return fmt.Errorf("interface %s %s", n.name, what)
}

// read reads the addresses and routes of the interface with an index.
func (n *nic) read(index int) error {
	n.networkMutex.Lock()
	defer n.networkMutex.Unlock()
	network, err := lan.ReadNetwork(index)
	if err != nil {
		return fmt.Errorf("interface %s: read addresses and routes: %w", n.name, err)
	}
	n.network.Store(&network)
	return nil
}

// observeKernel reads the interface's state from the kernel. A missing interface is no
// error: it returns the zero value.
func (n *nic) observeKernel() (lan.Observation, error) {
	status, err := lan.ReadStatus(n.name)
	if errors.Is(err, lan.ErrNoInterface) {
		return lan.Observation{}, nil
	}
	if err == nil {
		err = n.read(status.Index)
	}
	return lan.Observation{Status: status, Network: *n.network.Load()}, err
}

// carrier returns an error if the interface has no carrier. The kernel reports no error for
// frames sent without a carrier, so the silence that follows proves nothing.
func (n *nic) carrier() error {
	if n.unnamed.Load() {
		return n.unavailable()
	}
	s, err := lan.ReadStatus(n.name)
	if err != nil {
		return err
	}
	return n.faultError(s.Fault())
}

// ownAddresses returns the host's addresses on this interface.
func (n *nic) ownAddresses() []netip.Addr {
	var own []netip.Addr
	for _, p := range n.network.Load().Prefixes {
		own = append(own, p.Addr())
	}
	return own
}

// repair removes what an earlier run left in the kernel when it crashed.
func (n *nic) repair() error {
	if n.closed() {
		return nil // reopen repairs it when the interface appears
	}
	failed := n.binder.Clear()
	pinned, err := lan.PinnedNeighbors(n.Index(), n.MAC())
	failed = errors.Join(failed, err)
	for _, ip := range pinned {
		failed = errors.Join(failed, lan.DropNeighbor(n.Index(), ip))
	}
	return failed
}

// setUnavailable marks the interface as unavailable. Its machines keep their states: their
// silence proves nothing.
func (n *nic) setUnavailable(now time.Time, fault string) {
	n.reannounceAt = time.Time{}
	n.inspectAt = now.Add(inspectPause)
	is := n.faultError(fault)
	was := n.fault.Swap(&is)
	switch {
	case was == nil:
		n.outSince = now
		n.log.Warn("interface unavailable, its machines cannot be monitored or woken", "event", "interface_out", "reason", is.Error())
	case (*was).Error() != is.Error():
		n.log.Debug("interface still unavailable", "event", "interface_out", "reason", is.Error())
	}
}

// ownAddressNear returns our address from which the kernel probably sends to ip, judged by
// the prefixes, or the invalid one.
func (n *nic) ownAddressNear(ip netip.Addr) (own netip.Addr) {
	for _, p := range n.network.Load().Prefixes {
		switch {
		case p.Addr().Is4() != ip.Is4():
		case p.Contains(ip):
			return p.Addr()
		case !own.IsValid():
			own = p.Addr()
		}
	}
	return own
}
