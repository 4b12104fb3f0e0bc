package porter

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nightporter/internal/claim"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// nic is one interface the porter works on, known by its name. It stays when the
// interface goes and comes again; what is open on it is its link.
type nic struct {
	name    string
	local   bool // our own host's programs may wake
	log     *slog.Logger
	link    atomic.Pointer[link]
	network atomic.Pointer[lan.Network] // as the kernel had it last
	reader  reader

	reading sync.Mutex             // of network, one at a time: what is older must not win
	trouble atomic.Pointer[string] // why there is no work to be done on it; nil: there is

	// The loop's own.
	announcer  claim.Announcer
	binder     *claim.Binder
	stale      bool        // the readers' view has to be made anew
	stuck      bool        // the kernel filter could not be set, and the log says so
	refused    bool        // so could claimed addresses, in bind mode
	lostBefore uint64      // sightings known to be lost
	port       uint16      // counts our questions to services
	known      lan.Network // what was acted upon last
	outSince   time.Time   // when the trouble began
	again      time.Time   // when to look at the interface unasked; zero: no need
	missed     lan.Change  // what was not acted upon when it could not be looked at
	restate    time.Time   // when to announce the claims anew; zero: no need
	credible   time.Time   // from then on silence is that of the machines
	reminders  reminders   // of who has an address that a network card answers for too

	look func() (outlook, error) // asks the kernel; tests have it fail

	// What a machine that arrives needs. Tests look here.
	ask   func(machine.MAC, machine.Service)
	ping  func(machine.MAC, netip.Addr) error
	guide func(handover.Guest, machine.MAC)
}

// openNIC opens the interface, and answers for nobody yet. With local it looks
// at what our own host sends, too.
func openNIC(name string, local bool, sightings chan<- sighting, replied func(lan.Kind), log *slog.Logger) (*nic, error) {
	n := &nic{name: name, local: local, log: log.With("interface", name)}
	n.reader.view.Store(&view{})
	n.reader.sightings = sightings
	n.reader.isn = rand.Uint32()
	n.reader.forward = n.forward
	n.reader.responder = claim.Responder{Send: n.Send, Replied: replied}
	n.binder = claim.NewBinder(n.Index)
	n.announcer.Send = n.announce
	n.look, n.ask, n.ping, n.guide = n.observe, n.question, n.echo, n.tellGuest
	if err := n.open(log); err != nil {
		return nil, err
	}
	if err := n.refresh(); err != nil {
		n.Close()
		return nil, err
	}
	n.known = *n.network.Load()
	return n, nil
}

// replied counts an answer that a reader gave.
func (p *Porter) replied(k lan.Kind) {
	if k == lan.NeighborSolicitation {
		p.metrics.NDPReplied()
		return
	}
	p.metrics.ARPReplied()
}

// forward sends a packet that came to us on to the machine.
func (n *nic) forward(p *lan.Packet, to machine.MAC) error {
	return lan.Forward(p, n.MAC(), to, n.MTU(), n.Send)
}

// refresh reads the interface's addresses and routes anew. While there is no
// interface what was known stays.
func (n *nic) refresh() error {
	if n.out() != nil {
		return nil
	}
	return n.read(n.Index())
}

// read is refresh for the interface with an index.
func (n *nic) read(index int) error {
	n.reading.Lock()
	defer n.reading.Unlock()
	network, err := lan.ReadNetwork(index)
	if err != nil {
		return fmt.Errorf("interface %s: read addresses and routes: %w", n.Name(), err)
	}
	n.network.Store(&network)
	return nil
}

// own returns the host's addresses on this interface.
func (n *nic) own() []netip.Addr {
	var own []netip.Addr
	for _, p := range n.network.Load().Prefixes {
		own = append(own, p.Addr())
	}
	return own
}

// carrier says what is wrong with the cable. Frames go nowhere without a
// complaint when it is out, so its silence is not the machine's.
func (n *nic) carrier() error {
	s, err := lan.ReadStatus(n.Name())
	if err != nil {
		return err
	}
	return n.says(faultOf(s))
}

// announce tells everyone once that ip is at owner.
func (n *nic) announce(ip netip.Addr, owner machine.MAC) {
	if a := n.reader.view.Load().addrs[ip]; owner == n.MAC() && a != nil && !a.answer.Load() {
		return // its machine spoke, and the loop is about to hear of it
	}
	n.say(machine.Broadcast, netip.Addr{}, ip, owner)
}

// say tells to, which is everyone or one neighbour, that ip is at owner. client
// is the neighbour's address, if it is known.
func (n *nic) say(to machine.MAC, client, ip netip.Addr, owner machine.MAC) {
	from, ok := n.network.Load().SourceFor(ip)
	if !ok {
		from = ip // better said by the address itself than not at all
	}
	frames, err := lan.Announcement(n.MAC(), to, owner, ip, from, client)
	if err != nil {
		n.log.Warn("cannot announce", "ip", ip, "to", to, "err", err)
		return
	}
	for _, f := range frames {
		n.send(f)
	}
}

// send is for frames whose loss is repaired by the next of their kind.
func (n *nic) send(frame []byte) {
	if err := n.Send(frame); err != nil {
		n.log.Debug("frame not sent", "err", err)
	}
}

// probe asks to for ip: a machine's own MAC, or everybody. The sender is our
// own address: a zero sender poisons the table of some access points.
func (n *nic) probe(to machine.MAC, ip netip.Addr) error {
	from, ok := n.network.Load().SourceFor(ip)
	if !ok {
		return fmt.Errorf("interface %s has no address to ask for %s from", n.Name(), ip)
	}
	frame, err := lan.NeighborProbe(n.MAC(), to, from, ip)
	if err != nil {
		return err
	}
	return n.Send(frame)
}

// site is the registration rules' view of an interface.
type site struct {
	*nic
	network lan.Network
	local   []netip.Addr  // of the host, on any interface
	macs    []machine.MAC // of the host's interfaces
}

// survey reads the host's addresses, so that a registration is judged by what
// holds at this moment.
func (n *nic) survey() (*site, error) {
	if err := n.out(); err != nil {
		return nil, err
	}
	if err := n.refresh(); err != nil {
		return nil, err
	}
	s := &site{nic: n, network: *n.network.Load()}
	var err error
	if s.local, err = lan.HostAddrs(); err != nil {
		return nil, fmt.Errorf("read the host's addresses: %w", err)
	}
	if s.macs, err = lan.HostMACs(); err != nil {
		return nil, fmt.Errorf("read the host's interfaces: %w", err)
	}
	return s, nil
}

func (s *site) Own(ip netip.Addr) bool {
	return slices.Contains(s.local, ip) || s.network.Own(ip)
}

func (s *site) Gateway(ip netip.Addr) bool   { return slices.Contains(s.network.Gateways, ip) }
func (s *site) OnLink(ip netip.Addr) bool    { return s.network.Contains(ip) }
func (s *site) Broadcast(ip netip.Addr) bool { return s.network.IsBroadcast(ip) }
func (s *site) OwnMAC(mac machine.MAC) bool  { return slices.Contains(s.macs, mac) }

// CanAsk reports whether a neighbour that has ip can answer a question of ours. To
// a solicitation from a link-local address each can, whatever our prefixes are
// (RFC 4861 section 4.3).
func (s *site) CanAsk(ip netip.Addr) bool {
	from, ok := s.network.SourceFor(ip)
	return s.OnLink(ip) || ok && ip.Is6() && from.IsLinkLocalUnicast()
}

func (s *site) NeighborMAC(ip netip.Addr) (machine.MAC, bool, error) {
	return lan.NeighborMAC(s.Index(), ip)
}

func (s *site) WhoHas(ctx context.Context, ip netip.Addr) ([]machine.MAC, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTries*lookupPause+time.Second)
	defer cancel()
	return s.reader.lookups.ask(ctx, ip, func() error { return s.probe(machine.Broadcast, ip) })
}
