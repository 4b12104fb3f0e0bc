package porter

import (
	"context"
	"net/netip"
	"slices"

	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// Register takes a registration: it is judged by the rules of trust, on the
// caller's goroutine because that asks the LAN, and then the machine begins to
// settle. It implements registration.Handler.
func (p *Porter) Register(ctx context.Context, req registration.Request, peer netip.AddrPort) error {
	// What the configuration says of the machine fills in what the client
	// left out, and so has to be known before it is judged.
	var configured bool
	if err := p.inLoop(ctx, func() { configured = p.complete(&req) }); err != nil {
		return err
	}
	n, err := p.nicFor(req.Spec.Addrs(), peer.Addr())
	if err != nil {
		return err
	}
	s, err := n.readNetView()
	if err != nil {
		return err
	}
	policy := p.trust.Load()
	verdict, err := policy.Check(ctx, req, peer.Addr(), s)
	if err != nil {
		return err
	}
	itself := false
	if configured { // the only machines that are protected from others
		if itself, err = policy.FromItself(req, peer.Addr(), s); err != nil {
			return err
		}
	}
	if len(req.Monitor) == 0 {
		return registration.Refuse(registration.Invalid,
			"monitor: found nothing: expected the machine's addresses, because the configuration has none for %s", req.MAC)
	}
	var refused error
	err = p.inLoop(ctx, func() {
		if policy.Trust != registration.Self {
			refused = p.protect(req, itself)
		}
		if refused == nil {
			refused = p.place(req)
		}
		if refused == nil {
			p.admit(p.claimable(req.Spec, verdict), n)
		}
	})
	if err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	return p.kept(ctx)
}

// claimable returns spec with the addresses that can be claimed now. The log names
// those that have to wait.
func (p *Porter) claimable(spec machine.Spec, v registration.Verdict) machine.Spec {
	waiting := v.Waiting()
	for _, w := range waiting {
		p.log.Warn("address waiting", "machine", spec.Name, "ip", w.IP, "reason", string(w.Waiting))
	}
	spec.Monitor = slices.DeleteFunc(slices.Clone(spec.Monitor), func(a machine.Address) bool {
		return slices.ContainsFunc(waiting, func(w registration.Place) bool { return w.IP == a.IP })
	})
	return spec
}

// kept returns once what was promised is sure to be known after a crash.
func (p *Porter) kept(ctx context.Context) error {
	if err := p.journal.Sync(ctx); err != nil {
		return registration.Refuse(registration.Limited,
			"cannot store the registration, so it would be lost with a restart: %v", err)
	}
	return nil
}

// complete fills in from what is known of the machine already, and reports
// whether the configuration knows it.
func (p *Porter) complete(req *registration.Request) bool {
	r := p.byMAC[req.MAC]
	if r == nil {
		if !req.HasName {
			req.Name = req.MAC.String()
		}
		return false
	}
	conf := r.configured
	if conf == nil {
		if !req.HasName {
			req.Name = r.name()
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

// protect refuses what would change a machine that the configuration knows: its
// fields, unless it registers itself, and its addresses under another MAC. Under
// trust: self both are proven otherwise.
func (p *Porter) protect(req registration.Request, itself bool) error {
	for _, r := range p.sorted() {
		switch {
		case r.configured == nil:
		case r.configured.MAC != req.MAC:
			if err := registration.CheckForeign(req, *r.configured); err != nil {
				return err
			}
		case !itself:
			if err := registration.CheckConfigured(req, *r.configured); err != nil {
				return err
			}
		}
	}
	return nil
}

// nicFor returns the interface of a machine: the one its peer's zone names, the
// one on whose network the machine is to be found, else the one the peer is on,
// else the first, where the rules of trust will refuse it with a reason.
func (p *Porter) nicFor(addrs []netip.Addr, peer netip.Addr) (*nic, error) {
	for _, n := range p.nics {
		if peer.Zone() != "" && peer.Zone() == n.Name() {
			return n, nil
		}
	}
	for range 2 {
		for _, ip := range append(slices.Clone(addrs), peer) {
			for _, n := range p.nics {
				if !ip.IsLinkLocalUnicast() && n.network.Load().Contains(ip) {
					return n, nil
				}
			}
		}
		// An interface may have got its address since we looked last.
		for _, n := range p.nics {
			if err := n.refresh(); err != nil {
				return nil, err
			}
		}
	}
	return p.nics[0], nil
}

// holder returns the machine, other than that with the MAC, that has ip as far as
// we look after it, or nil.
func (p *Porter) holder(ip netip.Addr, mac machine.MAC) *entry {
	for _, r := range p.machines {
		if r.attention() == ignored {
			continue
		}
		if spec := r.Spec(); spec.MAC != mac && spec.Has(ip) && !r.Conceded(ip) {
			return r
		}
	}
	return nil
}

// place refuses a machine for which there is no room: its name or an address belongs
// to another, or there are too many.
func (p *Porter) place(req registration.Request) error {
	for _, r := range p.machines {
		spec := r.Spec()
		if spec.MAC == req.MAC {
			continue
		}
		if spec.Name == req.Name || (r.configured != nil && r.configured.Name == req.Name) {
			return registration.Refuse(registration.Refused,
				"name: %q belongs to %s already: expected another, or that one to be forgotten first", req.Name, spec.MAC)
		}
	}
	for _, a := range req.Monitor {
		if r := p.holder(a.IP, req.MAC); r != nil {
			spec := r.Spec()
			return registration.Refuse(registration.Refused, "monitor: %s belongs to %q (%s), which is %s",
				a.IP, spec.Name, spec.MAC, r.State())
		}
	}
	if p.byMAC[req.MAC] == nil && len(p.machines) >= p.conf.Registration.MaxMachines {
		return registration.Refuse(registration.Limited, "no room: %d machines are registered (registration.max_machines)", len(p.machines))
	}
	return nil
}
