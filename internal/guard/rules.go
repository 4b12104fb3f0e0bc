package guard

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Offsets in the headers of IPv4 (RFC 791 section 3.1) and IPv6 (RFC 8200 section 3).
const (
	source4, destination4 = 12, 16
	source6, destination6 = 8, 24
)

// hook queues a base chain with its rules. Packets that they do not drop are accepted.
func hook(conn *nftables.Conn, c *nftables.Chain, rules [][]expr.Any) {
	policy := nftables.ChainPolicyAccept
	c.Type, c.Policy = nftables.ChainTypeFilter, &policy
	fill(conn, conn.AddChain(c), rules)
}

func fill(conn *nftables.Conn, c *nftables.Chain, rules [][]expr.Any) {
	for _, r := range rules {
		conn.AddRule(&nftables.Rule{Table: c.Table, Chain: c, Exprs: r})
	}
}

// The chains of the netdev table to which other chains go.
const (
	matched     = "matched"     // drops packets, if they are for the interface itself
	unreachable = "unreachable" // for packets that may be "port unreachable"; one per set group
)

// ingressRules are the rules for one interface, in the order that costs packets for other
// hosts least. The first comparisons are of fields of four bytes with masks: the kernel
// evaluates these inline, and needs a function call for all others.
//
// If the kernel owns the addresses it would answer solicitations for them too.
func ingressRules(p setGroup, bound bool) [][]expr.Any {
	rules := [][]expr.Any{
		gotoChain(matched, to4(p)),
		gotoChain(matched, to6(p)),
		gotoChain(matched, diverted4(p)),
		gotoChain(matched, diverted6(p)),
		gotoChain(p.name(unreachable), masked(expr.PayloadBaseTransportHeader, 0, 0xfdf8_0000, 0x0100_0000)), // includes types and codes 3, 3 and 1, 4
	}
	if bound {
		rules = append(rules, gotoChain(matched, aboutClaimed(p)))
	}
	return rules
}

// unreachableRules are the rules for packets that may be "port unreachable" by their first
// bytes.
func unreachableRules(p setGroup) [][]expr.Any {
	return [][]expr.Any{gotoChain(matched, unreachableFrom4(p)), gotoChain(matched, unreachableFrom6(p))}
}

// gotoChain adds a jump to a chain.
func gotoChain(chain string, matches []expr.Any) []expr.Any {
	return append(matches, &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain})
}

// matchedRules drop the IP packets that matched on any interface. A frame with a VLAN tag is
// for a VLAN interface on top of this one, which has a chain of its own if it is ours. A
// tag with VID 0 is only a priority tag (IEEE 802.1Q section 9.6), as in the kernel filter
// of the packet sockets.
func matchedRules() [][]expr.Any {
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	return [][]expr.Any{
		{
			&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, unix.ETH_P_IP)},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, unix.ETH_P_IPV6)},
			accept,
		},
		append(taggedBy(unix.ETH_P_8021Q), accept),
		append(taggedBy(unix.ETH_P_8021AD), accept),
		drop(),
	}
}

// taggedBy matches a tag of a type with a VID other than 0: the type, and the twelve bits of
// the VID in the tag that follows it.
func taggedBy(etherType uint32) []expr.Any {
	tag := func(vid uint32) []byte { return binary.BigEndian.AppendUint32(nil, etherType<<16|vid) }
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: 12, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: []byte{0xff, 0xff, 0x0f, 0xff}, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: tag(1)},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: tag(0xfff)},
	}
}

// preroutingRules are the rules at the prerouting hook.
//
// A kernel that owns the addresses accepts packets to them on every interface: from
// containers, from other networks, or over lo from the host itself. Packets that arrive on
// our own interfaces are left to their ingress chains: on a bridge with br_netfilter, a
// frame at this hook may be on its way to another port or to our packet sockets.
func preroutingRules(p setGroup) [][]expr.Any {
	return [][]expr.Any{drop(to4(p), fromOurs(false)), drop(to6(p), fromOurs(false))}
}

// preroutingRulesWithoutIngress are the rules at the prerouting hook of a kernel without the
// ingress hook. On a bridge with br_netfilter they apply too early, and they do not
// distinguish on which of our interfaces an address is claimed.
func preroutingRulesWithoutIngress(p setGroup, bound bool) [][]expr.Any {
	var rules [][]expr.Any
	for _, matches := range [][]expr.Any{diverted4(p), diverted6(p), unreachableFrom4(p), unreachableFrom6(p)} {
		rules = append(rules, drop(matches, fromOurs(true)))
	}
	if !bound {
		return append([][]expr.Any{drop(to4(p), fromOurs(true)), drop(to6(p), fromOurs(true))}, rules...)
	}
	return append([][]expr.Any{drop(to4(p)), drop(to6(p))}, append(rules, drop(aboutClaimed(p), fromOurs(true)))...)
}

func to4(p setGroup) []expr.Any {
	return slices.Concat(version(4), inSet(p.claimed4(), expr.PayloadBaseNetworkHeader, destination4))
}

func to6(p setGroup) []expr.Any {
	return slices.Concat(version(6),
		inSet(p.suffixes6(), expr.PayloadBaseNetworkHeader, destination6+16-4), inSet(p.claimed6(), expr.PayloadBaseNetworkHeader, destination6))
}

// unreachableFrom4 matches "port unreachable" from a claimed address (RFC 792: type 3, code
// 3). The readers handle it. A host that forwards would pass it on to the client, and the
// kernel would report it to a program of our own.
func unreachableFrom4(p setGroup) []expr.Any {
	return slices.Concat(icmp(unix.IPPROTO_ICMP, 3, 3), version(4), inSet(p.claimed4(), expr.PayloadBaseNetworkHeader, source4))
}

// unreachableFrom6 is the same for IPv6 (RFC 4443 section 3.1: type 1, code 4).
func unreachableFrom6(p setGroup) []expr.Any {
	return slices.Concat(icmp(unix.IPPROTO_ICMPV6, 1, 4), version(6), inSet(p.claimed6(), expr.PayloadBaseNetworkHeader, source6))
}

func icmp(transport, kind, code byte) []expr.Any {
	return append(transported(transport),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{kind, code}})
}

func transported(transport byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{transport}},
	}
}

// version matches IP packets by their first four bits.
func version(v uint32) []expr.Any {
	return masked(expr.PayloadBaseNetworkHeader, 0, 0xf000_0000, v<<28)
}

// masked matches a field of four bytes under a mask.
func masked(base expr.PayloadBase, offset, mask, value uint32) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binary.BigEndian.AppendUint32(nil, mask), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint32(nil, value)},
	}
}

// aboutClaimed matches neighbor solicitations and advertisements, ICMPv6 types 135 and 136,
// whose target is claimed; the target is at offset 8 of both (RFC 4861 sections 4.3 and
// 4.4). Most go to groups, not to the address. The kernel would answer a solicitation, and
// report a duplicate address after an advertisement.
func aboutClaimed(p setGroup) []expr.Any {
	return slices.Concat(transported(unix.IPPROTO_ICMPV6), []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: []byte{135}},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: []byte{136}},
	}, inSet(p.claimed6(), expr.PayloadBaseTransportHeader, 8))
}

// arpInput is the hook for received ARP packets (NF_ARP_IN of linux/netfilter_arp.h).
func arpInput() *nftables.ChainHook { return nftables.ChainHookRef(0) }

// arpRules are: arp operation request arp daddr ip @claimed4 drop, on every
// interface: by default the kernel answers on each for all of its addresses
// (arp_ignore). The operation is at offset 6, and the target's IPv4 address at 24
// behind hardware addresses of 6 bytes (RFC 826).
func arpRules(p setGroup) [][]expr.Any {
	request := []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 6, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0, 1}},
	}
	return [][]expr.Any{drop(request, inSet(p.claimed4(), expr.PayloadBaseNetworkHeader, 24))}
}

// inSet matches packets with an element of the set at an offset.
func inSet(set *nftables.Set, base expr.PayloadBase, offset uint32) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: set.KeyType.Bytes},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID},
	}
}

// fromOurs matches packets that came in on one of our interfaces, or on none.
func fromOurs(ours bool) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Lookup{SourceRegister: 1, SetName: interfaceSet().Name, SetID: interfaceSet().ID, Invert: !ours},
	}
}

func drop(matches ...[]expr.Any) []expr.Any {
	return append(slices.Concat(matches...), &expr.Verdict{Kind: expr.VerdictDrop})
}

func diverted4(p setGroup) []expr.Any {
	return slices.Concat(version(4),
		inSet(p.clients(), expr.PayloadBaseNetworkHeader, destination4),
		inSet(p.ways4(), expr.PayloadBaseNetworkHeader, source4))
}

func diverted6(p setGroup) []expr.Any {
	return slices.Concat(version(6),
		inSet(p.clients(), expr.PayloadBaseNetworkHeader, destination6+12),
		inSet(p.ways6(), expr.PayloadBaseNetworkHeader, source6))
}
