package lan_test

import (
	"net/netip"
	"testing"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lan"
)

func TestParseNeighborDiscovery(t *testing.T) {
	solicitation := packet(lan.Packet{
		Kind: lan.NeighborSolicitation, From: client6, To: group6, Target: sleepy6, SenderMAC: clientMAC,
		Network: 14, Transport: 54,
	})
	advertisement := packet(lan.Packet{
		Kind: lan.NeighborAdvertisement, From: sleepy6, To: client6, Target: sleepy6, SenderMAC: sleepyMAC,
		Solicited: true, Network: 14, Transport: 54,
	})
	bare, unicast, dad, unsolicited, behind := solicitation, solicitation, solicitation, advertisement, solicitation
	bare.SenderMAC = ether.MAC{}
	unicast.SenderMAC, unicast.To = ether.MAC{}, sleepy6
	dad.SenderMAC, dad.From = ether.MAC{}, netip.IPv6Unspecified()
	unsolicited.Solicited, unsolicited.To = false, netip.MustParseAddr("ff02::1")
	behind.Transport += 8
	edit := func(m nd, f func(*nd)) []byte { f(&m); return m.packet(t) }
	extended := edit(question(), func(*nd) {})
	extended = packet6(client6, group6, 60, 255, append(extension(58, 8), extended[40:]...))

	cases := []struct {
		name   string
		packet []byte
		want   lan.Packet
	}{
		{"solicitation", question().packet(t), solicitation},
		{"advertisement", advice().packet(t), advertisement},
		{"a router verifies, without an option", edit(question(), func(m *nd) { m.to, m.options = sleepy6, nil }), unicast},
		{"duplicate address detection", edit(question(), func(m *nd) { m.from, m.options = netip.IPv6Unspecified(), nil }), dad},
		{"duplicate address detection with a nonce (RFC 7527)",
			edit(question(), func(m *nd) { m.from, m.options = netip.IPv6Unspecified(), []byte{14, 1, 1, 2, 3, 4, 5, 6} }), dad},
		{"unsolicited", edit(advice(), func(m *nd) { m.to, m.flags = netip.MustParseAddr("ff02::1"), 0x20 }), unsolicited},
		{"an unknown option first", edit(question(), func(m *nd) { m.options = append(make([]byte, 16), m.options...); m.options[1] = 2 }), solicitation},
		{"the other option only", edit(question(), func(m *nd) { m.options = lla(2, sleepyMAC) }), bare},
		{"an address that is not Ethernet's",
			edit(question(), func(m *nd) { m.options = append([]byte{1, 2}, make([]byte, 14)...) }), bare},
		{"two options: the first counts",
			edit(question(), func(m *nd) { m.options = append(m.options, lla(1, sleepyMAC)...) }), solicitation},
		{"behind an extension header", extended, behind},
		{"padded by the link", append(question().packet(t), 1, 2, 3), solicitation},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, view(t, ethernetFrame(0x86dd, c.packet...)), comparable); diff != "" {
				t.Errorf("packet (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNeighborDiscoveryValidation has one case for each rule of RFC 4861,
// sections 7.1.1 and 7.1.2.
func TestNeighborDiscoveryValidation(t *testing.T) {
	unspecified := netip.IPv6Unspecified()
	edit := func(m nd, f func(*nd)) []byte { f(&m); return m.packet(t) }
	whole := question().packet(t)
	fragmented := packet6(client6, group6, 44, 255, append(fragment6(58, 0), whole[40:]...))
	cases := []struct {
		name   string
		packet []byte
	}{
		{"solicitation: hop limit", edit(question(), func(m *nd) { m.hopLimit = 254 })},
		{"solicitation: checksum", with(whole, 42, whole[42]^1)},
		{"solicitation: code", edit(question(), func(m *nd) { m.code = 1 })},
		{"solicitation: length", edit(question(), func(m *nd) { m.short, m.options = true, nil })},
		{"solicitation: multicast target", edit(question(), func(m *nd) { m.target = group6 })},
		{"solicitation: option of length zero", edit(question(), func(m *nd) { m.options = []byte{1, 0, 0, 0, 0, 0, 0, 0} })},
		{"solicitation: option beyond the end", edit(question(), func(m *nd) { m.options = []byte{1, 2, 0, 0, 0, 0, 0, 0} })},
		{"solicitation: option of one octet", edit(question(), func(m *nd) { m.options = []byte{1} })},
		{"solicitation: unspecified source, not to a solicited-node group",
			edit(question(), func(m *nd) { m.from, m.to, m.options = unspecified, sleepy6, nil })},
		{"solicitation: unspecified source with a link-layer address", edit(question(), func(m *nd) { m.from = unspecified })},
		{"advertisement: hop limit", edit(advice(), func(m *nd) { m.hopLimit = 64 })},
		{"advertisement: code", edit(advice(), func(m *nd) { m.code = 1 })},
		{"advertisement: length", edit(advice(), func(m *nd) { m.short, m.options = true, nil })},
		{"advertisement: multicast target", edit(advice(), func(m *nd) { m.target = group6 })},
		{"advertisement: solicited, but to a group", edit(advice(), func(m *nd) { m.to = netip.MustParseAddr("ff02::1") })},
		{"advertisement: option of length zero", edit(advice(), func(m *nd) { m.options = []byte{2, 0, 0, 0, 0, 0, 0, 0} })},
		{"fragmented (RFC 6980)", fragmented},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var p lan.Packet
			if got := p.Parse(ethernetFrame(0x86dd, c.packet...)); got != lan.BadNDP {
				t.Errorf("verdict %v, want bad_ndp", got)
			}
		})
	}
}
