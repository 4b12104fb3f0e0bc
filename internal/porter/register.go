package porter

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// Register takes a registration: it is judged by the rules of trust, on the
// caller's goroutine because that asks the LAN, and then the machine begins to
// settle, or to be watched. It implements registration.Handler.
func (p *Porter) Register(ctx context.Context, req registration.Request, peer registration.Peer) error {
	// What the configuration says of the machine fills in what the client
	// left out, and so has to be known before it is judged.
	var guarded bool
	var had []netip.Addr
	if err := p.inLoop(ctx, func() { had, guarded = p.loop.machines.complete(&req) }); err != nil {
		return err
	}
	n, err := p.loop.interfaces.nicForPeer(req.Spec.Addrs(), peer.Addr.Addr())
	if err != nil {
		return err
	}
	v, err := n.readNetView()
	if err != nil {
		return err
	}
	v = v.withHistory(had)
	policy := p.trust.Load()
	verdict, err := policy.Check(ctx, req, peer, v)
	if err != nil {
		return err
	}
	req.Monitor, req.Guests = verdict.Monitor, nil
	itself := req.RequiredSecret != machine.Secret{} // and it was shown
	if !itself && (guarded || req.Token != "") {     // else it need not be known
		if itself, err = policy.FromItself(ctx, req, peer, v); err != nil {
			return err
		}
	}
	req.Secret = policy.Learn(req, itself)
	if len(req.Monitor) == 0 {
		return registration.Refuse(registration.Invalid,
			"monitor: found nothing: expected the machine's addresses, because the configuration has none for %s", req.MAC)
	}
	var gone ether.MAC // of a card that this one replaces
	if policy.Trust == registration.Self {
		if gone, err = p.replacedCard(ctx, req, verdict, v); err != nil {
			return err
		}
	}
	a := admission{Request: req, peer: peer.Addr, places: registeredPlaces(verdict), nic: n, fromMachine: itself, replaced: gone}
	if req.Trial {
		return p.tryAdmission(ctx, a)
	}
	var refused error
	err = p.inLoop(ctx, func() { refused = p.loop.admit(a) })
	if err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	for _, ip := range verdict.Unknown {
		p.loop.log.Warn("guest left out: no host answers for it, and its MAC is not known", "event", "guest_unknown", "machine", req.Name, "ip", ip,
			"remedy", "tell its mac in guests")
	}
	return p.synced(ctx)
}

// tryAdmission says whether a machine would be taken in, and how. It changes nothing.
func (p *Porter) tryAdmission(ctx context.Context, a admission) error {
	var refused error
	would := new(registration.Acceptable)
	if err := p.inLoop(ctx, func() { would.Renamed, refused = p.loop.checkAdmission(&a) }); err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	would.Name = a.Name
	for _, at := range a.places {
		if at.Reason != "" {
			would.Wait = append(would.Wait, at.Addr.String()+": "+at.Reason)
		}
	}
	return would
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
func (p *Porter) replacedCard(ctx context.Context, req registration.Request, verdict registration.Verdict, v *netView) (ether.MAC, error) {
	var old machine.Spec
	if err := p.inLoop(ctx, func() { old = p.loop.machines.replaceable(req, verdict) }); err != nil || old.MAC == (ether.MAC{}) {
		return ether.MAC{}, err
	}
	for _, ip := range old.Addrs() {
		if !v.CanResolve(ip) {
			continue
		}
		macs, err := v.Resolve(ctx, ip)
		if err != nil {
			return ether.MAC{}, err
		}
		if slices.Contains(macs, old.MAC) {
			return ether.MAC{}, nil // both are there: the name is not free
		}
	}
	return old.MAC, nil
}

// admission is a registration that the rules of trust allow.
type admission struct {
	registration.Request
	peer        netip.AddrPort
	places      []machine.Place
	nic         *nic
	fromMachine bool      // the machine has sent it, or who knows its token
	replaced    ether.MAC // the card that it replaces
}

// admit takes in a machine that registered, or says why not.
func (l *loop) admit(a admission) error {
	wanted, had := a.Name, ""
	if e := l.machines.byMAC[a.MAC]; e != nil {
		had = e.name()
	}
	why, err := l.checkAdmission(&a)
	if err != nil {
		return err
	}
	if old := l.machines.byMAC[a.replaced]; old != nil {
		l.replaceCard(old, a.Spec)
	}
	e := l.machines.byMAC[a.MAC]
	if e == nil {
		e = l.insert(machine.New(a.Spec, l.policy(), time.Now()))
	}
	if err := l.register(e, a); err != nil {
		return err
	}
	switch {
	case had == a.Name:
	case why != "":
		l.reportName(e, wanted, why)
	case had != "":
		l.log.Info("machine renamed", "event", "renamed_itself", "machine", e, "mac", a.MAC, "before", had)
		l.journal.Append(journal.Record{Event: journal.Event{Kind: journal.Renamed, At: time.Now(), Machine: a.Name, MAC: a.MAC, By: had}})
	}
	return nil
}

// judge gives a machine its name, and says why that is not the one it asked for, or why
// the machine is not taken in.
func (l *loop) checkAdmission(a *admission) (why string, err error) {
	why = l.machines.assignName(&a.Spec, a.replaced, l.machines.configuredNames())
	if err := l.machines.protect(a.Request, a.fromMachine); err != nil {
		return "", err
	}
	var proved []netip.Addr
	if l.conf.Registration.Trust == registration.Self.String() {
		proved = claimable(a.places)
	}
	if err := l.machines.checkRoom(a.Request, proved, a.replaced, l.conf.Registration.MaxMachines); err != nil {
		return "", err
	}
	if err := l.machines.checkHosted(a.Request, a.places, a.replaced); err != nil {
		return "", err
	}
	return why, nil
}

// register has a known machine take in its registration.
func (l *loop) register(e *entry, a admission) error {
	now, was, spec, n := time.Now(), e.Spec(), a.Spec, a.nic
	spec.Agentless = e.configured != nil && e.configured.Agentless
	changed := !reflect.DeepEqual(was, spec)
	if e.HasRegistered() && changed {
		if err := l.restraint.Change(spec.MAC, now); err != nil {
			return err
		}
	}
	if was.Name != spec.Name {
		if err := l.restraint.Rename(spec.MAC, was.Name, spec.Name, now); err != nil {
			return err
		}
		l.changeName(e, was.Name, spec.Name)
	}
	if e.nic != nil && e.nic != n {
		// It moved to another network: nothing of it stays on the old one.
		l.dispatch(e, machine.Stopped{})
		e.nic.viewStale = true
	}
	e.nic, e.placed = n, a.places
	repeated := e.HasRegistered() && !changed && !l.restraint.Record(spec.MAC, now)
	if changed && e.HasRegistered() && e.sleeps() {
		l.log.Warn("the registration of a machine that sleeps has changed", "event", "redefined", "machine", spec.Name, "mac", spec.MAC, "peer", a.peer.String())
		l.journal.Append(journal.Record{Event: journal.Event{Kind: journal.Redefined, At: now, Machine: spec.Name, MAC: spec.MAC, Source: a.peer}})
	}
	if !repeated {
		l.log.Info("machine registered", "event", "registered", "machine", spec.Name, "mac", spec.MAC, "monitor", monitored(spec))
	}
	l.changeSpec(e, spec, machine.Registered{Spec: spec, Here: a.Here, Places: a.places, Repeated: repeated})
	if l.machines.share(e) {
		l.place() // one of the two loses the address
	}
	return nil
}

// describe has a machine, and the readers with it, take in another description, which an
// event brings.
func (l *loop) changeSpec(e *entry, spec machine.Spec, event machine.Event) {
	was := e.Spec()
	e.hold.Dismiss(func(s machine.Service) bool { return !spec.Serves(s) })
	// The old target stays until the event was carried out: what it claimed is
	// released by it.
	l.dispatch(e, event)
	l.machines.unlist(e, was)
	l.machines.list(e, e.Spec())
	e.setTarget()
}

// replaceCard gives the name of a machine, and what is known of it, to a new card.
func (l *loop) replaceCard(old *entry, spec machine.Spec) {
	l.log.Info("network card replaced", "event", "card_replaced", "machine", old, "mac", spec.MAC, "mac_before", old.Spec().MAC)
	mac := old.Spec().MAC
	mem := l.stopAndRemove(old)
	l.journal.Append(journal.Record{Forgotten: mac, Event: journal.Event{
		Kind: journal.CardReplaced, At: time.Now(), Machine: spec.Name, MAC: spec.MAC, By: mac.String()}})
	var configured *machine.Spec
	if known := l.machines.byMAC[spec.MAC]; known != nil { // under another name
		configured = known.configured
		l.stopAndRemove(known)
	}
	mem.Spec, mem.State, mem.Since, mem.Card, mem.Others = spec, machine.Awake, time.Now(), false, nil
	l.insert(machine.Resume(mem, l.policy(), time.Now(), time.Now())).configured = configured
}

// Refused notes a registration that was turned down.
func (p *Porter) Refused(peer netip.AddrPort, mac ether.MAC, reason string) {
	p.loop.journal.Append(journal.Record{Event: journal.Event{Kind: journal.Refused, At: time.Now(), Source: peer, MAC: mac, Reason: reason}})
}
