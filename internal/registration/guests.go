package registration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// guests reads the addresses of virtual machines and containers that run on the machine.
func (r *reader) guests(path string, raw json.RawMessage) error {
	r.req.HasGuests = true
	return r.addresses(path, raw, `such as [{"mac": "52:54:00:12:34:56", "ip": "192.168.1.6", "port": [22]}]`, &r.req.Guests)
}

// checkGuests refuses a guest that is the machine itself.
func (r *reader) checkGuests() error {
	for i, a := range r.req.Guests {
		if a.MAC == r.req.MAC || a.Guest() && a.MAC == r.req.WakeMAC {
			return Refuse(Invalid, "guests[%d].mac: found %s, the machine's own: expected that of a guest; the machine's own addresses belong in monitor", i, a.MAC)
		}
	}
	return nil
}

// UseConfiguredGuests adds the guests that the configuration names. An address of theirs is a
// guest's even if the registration lists it as the machine's own. They are left out if the
// registration has guests of its own.
func (r *Request) UseConfiguredGuests(known []machine.Address) {
	r.ConfiguredGuests = known
	for _, list := range [][]machine.Address{r.Monitor, r.Guests} {
		for i, a := range list {
			if k := named(known, a.IP); k != nil && !a.Guest() {
				list[i].MAC = k.MAC
			}
		}
	}
	if r.HasGuests {
		return
	}
	for _, k := range known {
		if !r.Has(k.IP) {
			r.Guests = append(r.Guests, k)
		}
	}
}

// named returns the entry of ip, or nil.
func named(list []machine.Address, ip netip.Addr) *machine.Address {
	if i := slices.IndexFunc(list, func(a machine.Address) bool { return a.IP == ip }); i >= 0 {
		return &list[i]
	}
	return nil
}

// IsConfiguredGuest reports whether known, the addresses of the configuration, has the guest a.
func IsConfiguredGuest(known []machine.Address, a machine.Address) bool {
	k := named(known, a.IP)
	return k != nil && k.MAC == a.MAC
}

// UnconfiguredGuest is why a guest waits under trust: self. A machine cannot prove that the
// address of another MAC is its guest's.
func UnconfiguredGuest(mac ether.MAC) Reason {
	return Reason(fmt.Sprintf("it belongs to %s: add that MAC to machines[].guests of the configuration if it is a guest of the machine", mac))
}

// guest decides whether the address of a guest can be claimed. It returns the address with its
// MAC, if that is known.
func (p Policy) guest(ctx context.Context, path string, a machine.Address, req Request, n Network) (machine.Address, Place, error) {
	isNamed := a.Guest() && IsConfiguredGuest(req.ConfiguredGuests, a)
	place := Place{IP: a.IP, Unproved: !isNamed}
	switch {
	case !n.CanResolve(a.IP):
		place.Waiting = NoNetwork
		return a, place, nil
	case isNamed && n.OnLink(a.IP): // the operator confirmed it
		return a, place, nil
	case p.Trust == Self && a.Guest() && !isNamed:
		return a, Place{IP: a.IP, Waiting: UnconfiguredGuest(a.MAC)}, nil
	}
	macs, err := resolve(ctx, a.IP, n)
	if err != nil {
		return a, place, fmt.Errorf("%s: resolve %s: %w", path, a.IP, err)
	}
	if !a.Guest() && len(macs) > 0 {
		a.MAC = macs[0]
	}
	switch {
	case slices.ContainsFunc(macs, func(m ether.MAC) bool { return m != a.MAC }) || len(macs) == 0:
		place.Waiting, place.Unproved = GuestSilent, true
	case a.MAC == req.MAC: // the machine itself answers
		a.MAC, place.Unproved = ether.MAC{}, false
	case p.Trust == Self && !isNamed:
		return a, Place{IP: a.IP, Waiting: UnconfiguredGuest(a.MAC)}, nil
	default:
		place.Unproved = false
	}
	return a, place, nil
}

// GuestHost is a machine, and which of its addresses count. A guest that the operator did not
// confirm does not count.
type GuestHost struct {
	machine.Spec
	Counts func(netip.Addr) bool
}

// hasGuest reports whether a machine has a guest with a MAC.
func (h GuestHost) hasGuest(mac ether.MAC) bool {
	return slices.ContainsFunc(h.Monitor, func(a machine.Address) bool { return a.Guest() && a.MAC == mac && h.Counts(a.IP) })
}

// CheckGuests returns nil if neither of two machines is a guest of the other. The error is a
// *Refusal.
func CheckGuests(registering, known GuestHost) error {
	switch {
	case known.hasGuest(registering.MAC):
		return Refuse(Refused, "mac: found %s, which is a guest of %q: expected that of a machine, or the guest to be left out there first",
			registering.MAC, known.Name)
	case registering.hasGuest(known.MAC):
		return Refuse(Refused, "guests: found %s, which is the mac of %q: expected that of a guest, or %q to be forgotten first%s",
			known.MAC, known.Name, known.Name, ForgetHint(known.Name))
	}
	return nil
}
