package fastpath

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

func TestWakeFrom(t *testing.T) {
	prefixes := func(texts ...string) []netip.Prefix {
		var ps []netip.Prefix
		for _, s := range texts {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		return ps
	}
	const knock4, knock6 = "nas knock 10.77.0.20:22/tcp from 10.77.0.10:40000", "nas knock [fd77::20]:22/tcp from [fd77::10]:40000"
	for _, c := range []struct {
		name              string
		operator, machine []netip.Prefix
		want              []string
	}{
		{"everyone may", nil, nil, []string{knock4, knock6}},
		{"the operator allows the client", prefixes("10.77.0.0/24", "fd77::/64"), nil, []string{knock4, knock6}},
		{"the operator allows one family", prefixes("10.77.0.10/32"), nil, []string{knock4}},
		{"the operator allows others", prefixes("10.78.0.0/16"), nil, nil},
		{"the machine allows the client", nil, prefixes("fd77::10/128"), []string{knock6}},
		{"the machine allows others", nil, prefixes("10.77.0.11/32"), nil},
		{"the machine narrows what the operator allows", prefixes("10.77.0.0/24", "fd77::/64"), prefixes("10.77.0.10/32"), []string{knock4}},
		{"the machine cannot widen it", prefixes("10.78.0.0/16"), prefixes("0.0.0.0/0", "::/0"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := nas()
			spec.WakeFrom = c.machine
			h := newFixture(t, 8, spec)
			h.View().rules.From = c.operator
			h.Handle(syn(nas4, 22))
			h.Handle(syn(nas6, 22))
			if diff := cmp.Diff(c.want, h.seen()); diff != "" {
				t.Errorf("sightings (-want +got):\n%s", diff)
			}
			if !h.answers(nas4) {
				t.Error("who may not wake the machine is not answered either")
			}
		})
	}
}

// An address that one target has left to another host is that of the target which
// registered it since, in whatever order they are added.
func TestConcededAddressIsTheNewOwners(t *testing.T) {
	spec := tv()
	spec.Monitor = nas().Monitor[:1]
	old, owner := NewTarget(nas(), nil, nil), NewTarget(spec, nil, nil)
	conceded := func(ip netip.Addr) bool { return ip == nas4 }
	none := func(netip.Addr) bool { return false }
	for _, oldFirst := range []bool{true, false} {
		v := NewView(Rules{})
		if oldFirst {
			v.Add(old, true, conceded)
		}
		v.Add(owner, true, none)
		if !oldFirst {
			v.Add(old, true, conceded)
		}
		if v.Address(nas4).Target() != owner || v.Address(nas6).Target() != old {
			t.Errorf("old one first: %t: the addresses are those of others", oldFirst)
		}
	}
}

// The kernel filter lets through all that comes to us for a target, and what it and our
// own host send if it is wanted whole.
func TestInterest(t *testing.T) {
	none := func(netip.Addr) bool { return false }
	v := NewView(Rules{})
	v.Add(NewTarget(nas(), nil, nil), true, none)
	v.Add(NewTarget(tv(), nil, nil), false, none)
	want := lan.Interest{Own: []netip.Addr{porter4}, MACs: []ether.MAC{nasMAC}, Addrs: []netip.Addr{nas4, nas6, tv4}, Sent: []netip.Addr{nas4, nas6}}
	if diff := cmp.Diff(want, v.Interest([]netip.Addr{porter4}), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("interest (-want +got):\n%s", diff)
	}
	if v.Address(tv4) == nil {
		t.Error("a target that is not wanted whole is not in the view")
	}
}
