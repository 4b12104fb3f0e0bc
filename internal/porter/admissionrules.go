package porter

import (
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// complete fills in what the registration left out from the configuration and the last
// registration. It returns the machine's previous addresses, and whether protect needs
// to know if the machine itself registers.
func (r *registry) complete(req *registration.Request) (had []netip.Addr, guarded bool) {
	e := r.byMAC[req.MAC]
	if e == nil {
		if !req.HasName {
			req.Name = req.MAC.String()
		}
		return nil, false
	}
	known := e.Spec()
	req.Secret, req.RequiredSecret = known.Secret, known.Secret
	conf := e.configured
	if conf == nil {
		if !req.HasName {
			req.Name = e.name()
		}
		return known.Addrs(), e.sleeps()
	}
	if conf.Token != (machine.Secret{}) {
		req.RequiredSecret = conf.Token
	}
	req.Unwatched = conf.Unwatched // only the configuration can set it
	if !req.HasName {
		req.Name = conf.Name
	}
	if !req.HasMonitor {
		req.Monitor = conf.Own()
	} else {
		machine.InheritSettings(req.Monitor, conf.Monitor)
	}
	req.UseConfiguredGuests(conf.Guests())
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
	if !req.HasWakeMAC {
		req.WakeMAC = conf.WakeMAC
	}
	return known.Addrs(), true
}

// replaceable returns the machine that has the name of a registration, if a new network
// card with another MAC may replace it: the machine has an address that the new card has
// proved, and the porter does not answer for that address.
func (r *registry) replaceable(req registration.Request, verdict registration.Verdict) machine.Spec {
	e := r.named[req.Name]
	if e == nil || e.Spec().MAC == req.MAC || e.configured != nil {
		return machine.Spec{}
	}
	spec := e.Spec()
	held := e.Answered()
	shared := func(p registration.Place) bool {
		return p.Waiting == "" && spec.Has(p.IP) && spec.Owner(p.IP) == spec.MAC
	}
	if !slices.ContainsFunc(verdict.Places, shared) ||
		slices.ContainsFunc(verdict.Places, func(p registration.Place) bool { return slices.Contains(held, p.IP) }) {
		return machine.Spec{}
	}
	return spec
}

// protect refuses a registration that would change a sleeping or configured machine: its
// fields, unless the machine itself registers (fromMachine), and addresses that the
// configuration gives to another MAC.
func (r *registry) protect(req registration.Request, itself bool) error {
	if e := r.byMAC[req.MAC]; e != nil && e.configured == nil && e.sleeps() && !itself {
		if err := registration.CheckAsleep(req, e.Spec()); err != nil {
			return err
		}
	}
	for _, e := range r.sorted() {
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

// checkRoom refuses a machine if one of its addresses or its wake_mac belongs to another
// machine, or if there are too many machines. A machine that is up loses the addresses
// that the new machine has proved.
func (r *registry) checkRoom(req registration.Request, proved []netip.Addr, gone ether.MAC, most int) error {
	for mac, e := range r.byMAC {
		if mac == req.MAC || mac == gone {
			continue
		}
		if err := registration.CheckWakeMAC(req, e.Spec()); err != nil {
			return err
		}
	}
	for _, a := range req.Monitor {
		if e := r.holder(a.IP, req.MAC); e != nil && e.Spec().MAC != gone && !(e.State() == machine.Awake && slices.Contains(proved, a.IP)) {
			spec, hint := e.Spec(), ""
			if e.configured == nil {
				hint = registration.ForgetHint(spec.Name)
			}
			return registration.Refuse(registration.Refused, "monitor: %s belongs to %q (%s), which is %s%s",
				a.IP, spec.Name, spec.MAC, e.State(), hint)
		}
	}
	if r.byMAC[req.MAC] == nil && len(r.byMAC) >= most {
		return registration.Refuse(registration.Limited, "no room: %d machines are registered (registration.max_machines)", len(r.byMAC))
	}
	return nil
}

// checkHosted refuses a machine that is the guest of another, or has another one as its
// guest.
func (r *registry) checkGuests(req registration.Request, places []machine.Place, gone ether.MAC) error {
	registering := registration.GuestHost{Spec: req.Spec, Counts: func(ip netip.Addr) bool {
		return !slices.ContainsFunc(places, func(p machine.Place) bool { return p.Addr == ip && p.Reason != "" })
	}}
	for mac, e := range r.byMAC {
		if mac == req.MAC || mac == gone {
			continue
		}
		if err := registration.CheckGuests(registering, registration.GuestHost{Spec: e.Spec(), Counts: e.Probes}); err != nil {
			return err
		}
	}
	return nil
}

// claimable returns the addresses that can be claimed at once.
func claimable(places []machine.Place) []netip.Addr {
	var ips []netip.Addr
	for _, p := range places {
		if p == (machine.Place{Addr: p.Addr}) {
			ips = append(ips, p.Addr)
		}
	}
	return ips
}
