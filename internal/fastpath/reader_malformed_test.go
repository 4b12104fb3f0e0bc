package fastpath

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
)

// question is a broadcast request for an address, as a client sends it.
func question(t *testing.T, ip netip.Addr) []byte {
	t.Helper()
	from := client4
	if ip.Is6() {
		from = client6
	}
	frame, err := lan.NeighborProbe(clientMAC, ether.Broadcast, from, ip)
	if err != nil {
		t.Fatal(err)
	}
	return frame[:min(len(frame), 14+40+32)] // without padding
}

// changed returns a copy of b with other bytes.
func changed(b []byte, at int, values ...byte) []byte {
	b = slices.Clone(b)
	copy(b[at:], values)
	return b
}

// icmp6 gives the IPv6 packet in a frame, which carries ICMPv6, its length and checksum.
func icmp6(frame []byte) []byte {
	body := frame[54:]
	binary.BigEndian.PutUint16(frame[18:], uint16(len(body)))
	body[2], body[3] = 0, 0
	sum := uint32(len(body)) + 58
	for _, part := range [][]byte{frame[22:54], body} {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(body[2:], ^uint16(sum))
	return frame
}

// withTag puts an 802.1Q tag into a frame.
func withTag(frame []byte, id byte) []byte {
	return slices.Insert(slices.Clone(frame), 12, 0x81, 0, 0, id)
}

// TestAttackMalformedQuestions: a host sends questions that are not in order. None is
// answered more than once, none to a group, and none wakes or changes anything.
func TestAttackMalformedQuestions(t *testing.T) {
	arp, ns := question(t, nas4), question(t, nas6)
	options := func(more ...byte) []byte { return icmp6(slices.Concat(ns[:78], more)) }
	some := options(slices.Repeat([]byte{14, 1, 1, 2, 3, 4, 5, 6}, 149)...)
	all, group, none := ether.Broadcast, ether.MAC{0x33, 0x33, 0, 0, 0, 1}, ether.MAC{}
	allNodes := netip.MustParseAddr("ff02::1")
	for name, c := range map[string]struct {
		frame []byte
		to    ether.MAC // of the one answer; zero: there is none
	}{
		"as it should be":                        {arp, clientMAC},
		"as it should be, IPv6":                  {ns, clientMAC},
		"a priority tag":                         {withTag(arp, 0), clientMAC},
		"a VLAN":                                 {withTag(arp, 5), none},
		"two priority tags":                      {withTag(withTag(arp, 0), 0), none}, // of these the kernel takes one out
		"two tags":                               {withTag(withTag(arp, 5), 0), none},
		"a VLAN, IPv6":                           {withTag(ns, 5), none},
		"ARP for hardware addresses of 8 bytes":  {changed(arp, 18, 8), none},
		"ARP for protocol addresses of 16 bytes": {changed(arp, 19, 16), none},
		"ARP for IPv6":                           {changed(arp, 16, 0x86, 0xdd), none},
		"ARP for Token Ring":                     {changed(arp, 15, 6), none},
		"RARP":                                   {changed(arp, 12, 0x80, 0x35), none},
		"RARP in ARP":                            {changed(arp, 21, 3), none},
		"InARP":                                  {changed(arp, 21, 8), none},
		"ARP, truncated":                         {arp[:41], none},
		"ARP, a header alone":                    {arp[:14], none},
		"ARP by all":                             {changed(arp, 22, all[:]...), none},
		"ARP by a group":                         {changed(arp, 22, group[:]...), none},
		"ARP without sender":                     {changed(arp, 22, none[:]...), none},
		"ARP by another":                         {changed(arp, 22, otherMAC[:]...), otherMAC}, // RFC 826
		"ARP with a frame by a group":            {changed(arp, 6, group[:]...), clientMAC},
		"hop limit 254":                          {changed(ns, 21, 254), none},
		"a wrong checksum":                       {changed(ns, 56, ns[56]^1), none},
		"a code":                                 {icmp6(changed(ns, 55, 1)), none},
		"an option of no length":                 {options(1, 0, 0, 0, 0, 0, 0, 0), none},
		"an option that is too long":             {options(1, 9, 0, 0, 0, 0, 0, 0), none},
		"an option that is cut off":              {options(1, 1, 2), none},
		"150 options":                            {some, clientMAC},
		"an address option of a group":           {options(1, 1, 0x33, 0x33, 0, 0, 0, 1), clientMAC},
		"an address option of all":               {options(1, 1, 255, 255, 255, 255, 255, 255), clientMAC},
		"from all nodes":                         {icmp6(changed(ns, 22, allNodes.AsSlice()...)), none},
		"from all nodes, in a frame by a group":  {icmp6(changed(changed(ns, 22, allNodes.AsSlice()...), 6, group[:]...)), none},
		"in a frame by a group":                  {changed(ns, 6, group[:]...), none},
		"in a frame by all":                      {changed(ns, 6, all[:]...), none},
		"about a group":                          {icmp6(changed(ns, 62, allNodes.AsSlice()...)), none},
		"truncated":                              {ns[:70], none},
	} {
		t.Run(name, func(t *testing.T) {
			h := newFixture(t, 8, nas())
			p := new(lan.Packet)
			if p.Parse(c.frame) == lan.Accepted {
				h.Handle(p)
			}
			if got := h.seen(); got != nil {
				t.Errorf("reported %q", got)
			}
			var answers []ether.MAC
			for _, frame := range h.sent {
				answers = append(answers, parsed(t, frame, nil).Dst)
			}
			if c.to == none && answers != nil || c.to != none && !slices.Equal(answers, []ether.MAC{c.to}) {
				t.Errorf("answered to %v, want %v", answers, c.to)
			}
		})
	}
}

// TestAttackMisdirectedKnocks: SYNs in frames that are not from one host to the porter. A
// kernel takes no such frame for an address of its own, or it is the porter's own one.
func TestAttackMisdirectedKnocks(t *testing.T) {
	for name, change := range map[string]func(*lan.Packet){
		"to all":       func(p *lan.Packet) { p.Dst = ether.Broadcast },
		"to a group":   func(p *lan.Packet) { p.Dst = ether.MAC{1, 0, 0x5e, 0, 0, 1} },
		"to another":   func(p *lan.Packet) { p.Dst = otherMAC },
		"by all":       func(p *lan.Packet) { p.Src = ether.Broadcast },
		"by a group":   func(p *lan.Packet) { p.Src = ether.MAC{0x33, 0x33, 0, 0, 0, 1} },
		"by no one":    func(p *lan.Packet) { p.Src = ether.MAC{} },
		"by ourselves": func(p *lan.Packet) { p.Src = lantest.PorterMAC },
	} {
		t.Run(name, func(t *testing.T) {
			h := newFixture(t, 8, nas())
			for _, ip := range []netip.Addr{nas4, nas6} {
				p := syn(ip, 22)
				change(p)
				h.Handle(p)
			}
			if got := h.seen(); got != nil || h.sent != nil || h.forwarded != nil {
				t.Errorf("reported %q, sent %d frames, forwarded %d", got, len(h.sent), len(h.forwarded))
			}
		})
	}
}
