package porter

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// Register handles a registration. The rules of trust are checked on the caller's
// goroutine, because that sends probes to the LAN; then the machine settles or is
// monitored. It implements registration.Handler.
func (p *Porter) Register(ctx context.Context, req registration.Request, peer registration.Peer) error {
	// The configuration fills in what the client left out, so it is needed before the
	// check.
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
	itself := req.RequiredSecret != machine.Secret{} // policy.Check has verified it
	if !itself && (guarded || req.Token != "") {     // else protect does not need it
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
			"remedy", "give its mac in guests")
	}
	return p.synced(ctx)
}

// tryAdmission returns how a machine would be accepted, as registration.Acceptable, or why
// not. It changes nothing.
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

// synced waits until the registration is on the disk.
func (p *Porter) synced(ctx context.Context) error {
	if err := p.loop.journal.Sync(ctx); err != nil {
		return registration.Refuse(registration.Limited,
			"cannot store the registration, so it would be lost with a restart: %v", err)
	}
	return nil
}

// replacedCard returns the MAC of the machine whose name a new network card may take over:
// the new card has proved one of its addresses, and the old card answers for none.
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

// Refused records a refused registration in the journal. It is for any goroutine.
func (p *Porter) Refused(peer netip.AddrPort, mac ether.MAC, reason string) {
	p.loop.journal.Append(journal.Record{Event: journal.Event{Kind: journal.Refused, At: time.Now(), Source: peer, MAC: mac, Reason: reason}})
}
