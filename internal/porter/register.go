package porter

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// Register takes a registration: it is judged by the rules of trust, on the
// caller's goroutine because that asks the LAN, and then the machine begins to
// settle, or to be watched. It implements registration.Handler.
func (p *Porter) Register(ctx context.Context, req registration.Request, peer netip.AddrPort) error {
	// What the configuration says of the machine fills in what the client
	// left out, and so has to be known before it is judged.
	var configured bool
	if err := p.inLoop(ctx, func() { configured = p.loop.complete(&req) }); err != nil {
		return err
	}
	n, err := p.loop.nicFor(req.Spec.Addrs(), peer.Addr())
	if err != nil {
		return err
	}
	v, err := n.readNetView()
	if err != nil {
		return err
	}
	policy := p.trust.Load()
	verdict, err := policy.Check(ctx, req, peer.Addr(), v)
	if err != nil {
		return err
	}
	itself := policy.Trust == registration.Self
	if configured && !itself { // else nobody has to be known
		if itself, err = policy.FromItself(req, peer.Addr(), v); err != nil {
			return err
		}
	}
	if len(req.Monitor) == 0 {
		return registration.Refuse(registration.Invalid,
			"monitor: found nothing: expected the machine's addresses, because the configuration has none for %s", req.MAC)
	}
	var gone machine.MAC // of a card that this one replaces
	if policy.Trust == registration.Self {
		if gone, err = p.replacedCard(ctx, req, verdict, v); err != nil {
			return err
		}
	}
	var refused error
	err = p.inLoop(ctx, func() { refused = p.loop.admit(req, registeredPlaces(verdict), n, itself, gone) })
	if err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	return p.synced(ctx)
}

// synced returns once what was promised is sure to be known after a crash.
func (p *Porter) synced(ctx context.Context) error {
	if err := p.loop.journal.Sync(ctx); err != nil {
		return registration.Refuse(registration.Limited,
			"cannot store the registration, so it would be lost with a restart: %v", err)
	}
	return nil
}

// replacedCard returns the MAC of the machine whose name a new card may take over:
// it has proved one of its addresses, and the old card answers for none.
func (p *Porter) replacedCard(ctx context.Context, req registration.Request, verdict registration.Verdict, v *netView) (machine.MAC, error) {
	var old machine.Spec
	if err := p.inLoop(ctx, func() { old = p.loop.replaceable(req, verdict) }); err != nil || old.MAC == (machine.MAC{}) {
		return machine.MAC{}, err
	}
	for _, ip := range old.Addrs() {
		if !v.CanAsk(ip) {
			continue
		}
		macs, err := v.WhoHas(ctx, ip)
		if err != nil {
			return machine.MAC{}, err
		}
		if slices.Contains(macs, old.MAC) {
			return machine.MAC{}, nil // both are there: the name is not free
		}
	}
	return old.MAC, nil
}

// replaceable returns the machine that has the name of a registration, if a new card
// with another MAC may replace it: it shares an address that the card has proved,
// and is not answered for there.
func (l *loop) replaceable(req registration.Request, verdict registration.Verdict) machine.Spec {
	e := l.machines.named[req.Name]
	if e == nil || e.Spec().MAC == req.MAC || e.configured != nil {
		return machine.Spec{}
	}
	spec := e.Spec()
	held := e.Answered()
	shared := func(p registration.Place) bool { return p.Waiting == "" && spec.Has(p.IP) }
	if !slices.ContainsFunc(verdict.Places, shared) ||
		slices.ContainsFunc(verdict.Places, func(p registration.Place) bool { return slices.Contains(held, p.IP) }) {
		return machine.Spec{}
	}
	return spec
}

// complete fills in from what is known of the machine already, and reports
// whether the configuration knows it.
func (l *loop) complete(req *registration.Request) bool {
	e := l.machines.byMAC[req.MAC]
	if e == nil {
		if !req.HasName {
			req.Name = req.MAC.String()
		}
		return false
	}
	conf := e.configured
	if conf == nil {
		if !req.HasName {
			req.Name = e.name()
		}
		return false
	}
	req.Unwatched = conf.Unwatched // the configuration alone says so
	if !req.HasName {
		req.Name = conf.Name
	}
	if !req.HasMonitor {
		req.Monitor = conf.Monitor
	}
	if !req.HasIdleWatts {
		req.IdleWatts = conf.IdleWatts
	}
	if !req.HasSleepWatts {
		req.SleepWatts = conf.SleepWatts
	}
	if !req.HasPassword {
		req.Password = conf.Password
	}
	if !req.HasWakeFrom {
		req.WakeFrom = conf.WakeFrom
	}
	return true
}

// admit takes in a machine that registered, or says why not. gone is a card that it
// replaces.
func (l *loop) admit(req registration.Request, places []machine.Place, n *nic, itself bool, gone machine.MAC) error {
	if err := l.protect(req, itself); err != nil {
		return err
	}
	if err := l.findRoom(req, places, gone); err != nil {
		return err
	}
	if old := l.machines.byMAC[gone]; old != nil {
		l.replaceCard(old, req.Spec)
	}
	e := l.machines.byMAC[req.MAC]
	if e == nil {
		e = l.insert(machine.New(req.Spec, l.policy(), time.Now()))
	}
	return l.register(e, req, places, n)
}

// register has a known machine take in its registration.
func (l *loop) register(e *entry, req registration.Request, places []machine.Place, n *nic) error {
	now, was, spec := time.Now(), e.Spec(), req.Spec
	spec.Agentless = e.configured != nil && e.configured.Agentless
	if was.Name != spec.Name {
		if err := l.restraint.Rename(spec.MAC, was.Name, spec.Name, now); err != nil {
			return err
		}
		delete(l.machines.named, was.Name)
		l.machines.named[spec.Name] = e
		l.metrics.RemoveMachine(was.Name)
		l.metrics.AddMachine(spec.Name)
	}
	if e.nic != nil && e.nic != n {
		// It moved to another network: nothing of it stays on the old one.
		l.tell(e, machine.Stopped{})
		e.nic.stale = true
	}
	e.nic, e.places = n, nil
	repeated := e.HasRegistered() && reflect.DeepEqual(was, spec) && !l.restraint.Record(spec.MAC, now)
	if !repeated {
		l.log.Info("machine registered", "event", "registered", "machine", spec.Name, "mac", spec.MAC, "monitor", monitored(spec))
	}
	e.hold.Dismiss(func(s machine.Service) bool { return !spec.Serves(s) })
	// The old target stays until the event was carried out: what it claimed is
	// released by it.
	l.tell(e, machine.Registered{Spec: spec, Here: req.Here, Places: places, Repeated: repeated})
	e.setTarget()
	if l.machines.share(e) {
		l.place() // one of the two loses the address
	}
	return nil
}

// replaceCard gives the name of a machine, and what is known of it, to a new card.
func (l *loop) replaceCard(old *entry, spec machine.Spec) {
	l.log.Info("network card replaced", "event", "card_replaced", "machine", old, "mac", spec.MAC, "mac_before", old.Spec().MAC)
	mac := old.Spec().MAC
	mem := l.retire(old)
	l.journal.Append(journal.Record{Forgotten: mac, Event: journal.Event{
		Kind: journal.CardReplaced, At: time.Now(), Machine: spec.Name, MAC: spec.MAC, By: mac.String()}})
	var configured *machine.Spec
	if known := l.machines.byMAC[spec.MAC]; known != nil { // under another name
		configured = known.configured
		l.retire(known)
	}
	mem.Spec, mem.State, mem.Since, mem.Card, mem.Others = spec, machine.Awake, time.Now(), false, nil
	l.insert(machine.Resume(mem, l.policy(), time.Now(), time.Now())).configured = configured
}

// protect refuses what would change a machine that the configuration knows: its
// fields, unless it registers itself, and its addresses under another MAC.
func (l *loop) protect(req registration.Request, itself bool) error {
	if p := l.conf.Registration.Trust; p == registration.Self.String() {
		return nil // both are proved otherwise
	}
	for _, e := range l.machines.sorted() {
		switch {
		case e.configured == nil:
		case e.configured.MAC != req.MAC:
			if err := registration.CheckForeign(req, *e.configured); err != nil {
				return err
			}
		case !itself:
			if err := registration.CheckConfigured(req, *e.configured); err != nil {
				return err
			}
		}
	}
	return nil
}

// findRoom refuses a machine for which there is no room: its name or an address
// belongs to another, or there are too many.
func (l *loop) findRoom(req registration.Request, places []machine.Place, gone machine.MAC) error {
	for mac, e := range l.machines.byMAC {
		if mac == req.MAC || mac == gone {
			continue
		}
		if e.name() == req.Name || (e.configured != nil && e.configured.Name == req.Name) {
			return registration.Refuse(registration.Refused,
				"name: %q belongs to %s already: expected another, or that one to be forgotten first", req.Name, mac)
		}
	}
	for _, a := range req.Monitor {
		if e := l.machines.holder(a.IP, req.MAC); e != nil && e.Spec().MAC != gone && !l.lost(e, a.IP, places) {
			spec := e.Spec()
			return registration.Refuse(registration.Refused, "monitor: %s belongs to %q (%s), which is %s",
				a.IP, spec.Name, spec.MAC, e.State())
		}
	}
	if l.machines.byMAC[req.MAC] == nil && len(l.machines.byMAC) >= l.conf.Registration.MaxMachines {
		return registration.Refuse(registration.Limited, "no room: %d machines are registered (registration.max_machines)", len(l.machines.byMAC))
	}
	return nil
}

// lost reports whether a machine that registers has proved an address that another
// had: that one is up, and answers for it no more.
func (l *loop) lost(e *entry, ip netip.Addr, places []machine.Place) bool {
	return e.State() == machine.Awake && l.conf.Registration.Trust == registration.Self.String() &&
		slices.Contains(places, machine.Place{Addr: ip})
}

// nicFor returns the interface of a machine: the one its peer's zone names, the
// one on whose network the machine is to be found, else the one the peer is on,
// else the first, where the rules of trust will refuse it with a reason. It is
// for any goroutine.
func (l *loop) nicFor(addrs []netip.Addr, peer netip.Addr) (*nic, error) {
	for _, n := range l.nics {
		if peer.Zone() != "" && peer.Zone() == n.name {
			return n, nil
		}
	}
	for range 2 {
		for _, ip := range append(slices.Clone(addrs), peer.Unmap()) {
			for _, n := range l.nics {
				if !ip.IsLinkLocalUnicast() && n.network.Load().Contains(ip) {
					return n, nil
				}
			}
		}
		// An interface may have got its address since we looked last.
		for _, n := range l.nics {
			if n.out() != nil {
				continue
			}
			if err := n.read(n.Index()); err != nil {
				return nil, err
			}
		}
	}
	return l.nics[0], nil
}

// Refused notes a registration that was turned down.
func (p *Porter) Refused(peer netip.AddrPort, mac machine.MAC, reason string) {
	p.loop.journal.Append(journal.Record{Event: journal.Event{Kind: journal.Refused, At: time.Now(), Source: peer, MAC: mac, Reason: reason}})
}
