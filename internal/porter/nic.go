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

// nic is one interface that the porter works on, known by its name. It stays when
// the interface goes and comes again; what is open on it is its link.
type nic struct {
	name    string
	unnamed atomic.Bool // it is that of the default route, and there was none so far
	local   bool        // our own host's programs may wake
	log     *slog.Logger
	link    atomic.Pointer[lan.Link]    // nil until the interface was there once
	network atomic.Pointer[lan.Network] // as the kernel had it last
	reader  *fastpath.Reader
	routers routers

	networkMutex sync.Mutex            // of network, one at a time: what is older must not win
	fault        atomic.Pointer[error] // why there is no work to be done on it; nil: there is

	// The loop's own.
	failed        chan error // why readers of the link ended by themselves
	announcer     claim.Announcer
	binder        *claim.Binder
	corrections   corrections
	pins          timerqueue.Queue[*entry] // rounds of machines that arrive
	unicastLimit  *rate.Limiter            // of neighbors, one by one
	viewStale     bool                     // the readers' view has to be made anew
	filterFailing bool                     // the kernel filter could not be set, and the log says so
	bindFailing   bool                     // so could claimed addresses, in bind mode
	skippedBefore uint64                   // sightings known to be lost
	probeCount    uint16                   // counts our probes of services
	applied       lan.Network              // what was acted upon last
	outSince      time.Time                // when the trouble began
	inspectAt     time.Time                // when to look at the interface unasked; zero: no need
	pendingChange lan.Change               // what was not acted upon when it could not be looked at
	reannounceAt  time.Time                // when to announce the claims anew; zero: no need
	routersAt     time.Time                // when to look where the gateways are

	observe  func() (lan.Observation, error) // asks the kernel; tests have it fail
	transmit func(frame []byte) error    // puts a frame on the wire; tests look here
}

// ofDefaultRoute is the name of an interface that is not known yet. None can be called
// so: Linux takes no name with a space (dev_valid_name).
const ofDefaultRoute = "of the default route"

// open gives n a link, in place of a closed one where there is any, and reads its
// network.
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
		n.unnamed.Store(false) // from now on others read the name
	}
	n.reader.SetSelf(link.MAC())
	n.link.Store(link)
	return n.read(n.Index())
}

// listen has n's readers work until ctx ends or the link is closed. One that ends
// for another reason leaves it in failed, and then calls kick.
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

// wait returns when the readers have ended.
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

// closed reports whether nothing is open.
func (n *nic) closed() bool {
	link := n.link.Load()
	return link == nil || link.Closed()
}

// opened returns what the link was opened with; nothing if it is closed.
func (n *nic) opened() lan.Status {
	if n.closed() {
		return lan.Status{}
	}
	return n.link.Load().Opened()
}

// Index returns the kernel's number of the interface, as it was when it was opened
// last.
func (n *nic) Index() int {
	if link := n.link.Load(); link != nil {
		return link.Index()
	}
	return 0
}

// MAC returns our address on the interface, as it was then.
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

// forward sends a packet that came to us on to the machine.
func (n *nic) forward(p *lan.Packet, to ether.MAC) error {
	link := n.link.Load()
	if link == nil {
		return net.ErrClosed
	}
	return lan.Forward(p, link.MAC(), to, link.MTU(), n.transmit)
}

// setInterest sets the kernel filter for a view. A link that is opened later gets it
// then.
func (n *nic) setInterest(v *fastpath.View) error {
	if n.closed() || n.unavailable() != nil {
		return nil
	}
	return n.link.Load().SetInterest(v.Interest(n.ownAddresses()))
}

// noteForwarding has the readers know whether our own kernel forwards packets.
func (n *nic) noteForwarding() {
	n.reader.SetKernelForwards(lan.Forwards(n.name, netip.IPv4Unspecified()), lan.Forwards(n.name, netip.IPv6Unspecified()))
}

// out returns why nothing can be done on the interface, or nil.
func (n *nic) unavailable() error {
	if fault := n.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

// fault makes an error of what is wrong with the interface; nothing is none.
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

// observeKernel asks the kernel about the interface. That there is none is no error.
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

// carrier returns what is wrong with the cable. Frames go nowhere without a
// complaint when it is out, so the silence that follows is not the machine's.
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

// own returns the host's addresses on this interface.
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
		return nil // it is done when the interface is there
	}
	failed := n.binder.Clear()
	pinned, err := lan.PinnedNeighbors(n.Index(), n.MAC())
	failed = errors.Join(failed, err)
	for _, ip := range pinned {
		failed = errors.Join(failed, lan.DropNeighbor(n.Index(), ip))
	}
	return failed
}

// lose notes that nothing can be done on the interface. Its machines stay as they
// are: that they cannot be heard says nothing about them.
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

// near returns the address of ours from which the host sends to ip, as far as the
// prefixes tell, or the invalid one.
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
