package guard

import (
	"errors"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// chunk is how many elements go into one message: the length of a netlink
// attribute has 16 bits, and an IPv6 element 28 octets.
const chunk = 1024

// tableName is that of both tables: the one of IP packets, and where the kernel
// owns the claimed addresses also one of ARP packets.
const tableName = "nightporter"

func inetTable() *nftables.Table {
	return &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}
}

func arpTable() *nftables.Table {
	return &nftables.Table{Name: tableName, Family: nftables.TableFamilyARP}
}

// The sets have fixed numbers, which tell them apart within a transaction.

func interfaceSet() *nftables.Set {
	return &nftables.Set{Table: inetTable(), ID: 1, Name: "interfaces", KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
}

func claimed4() *nftables.Set { return claimed(inetTable(), 2, "claimed4", nftables.TypeIPAddr) }
func claimed6() *nftables.Set { return claimed(inetTable(), 3, "claimed6", nftables.TypeIP6Addr) }

// tails6 has the last four octets of the elements of claimed6. Four octets are
// read and looked up in much less time than sixteen, and nearly every packet that
// is not for us ends there. A known size lets the kernel take its hash table for
// keys of four octets.
func tails6(held int) *nftables.Set {
	s := claimed(inetTable(), 5, "tails6", nftables.TypeInteger)
	s.Size = uint32(roomFor(held))
	return s
}

// roomFor is the size of a set that has so many elements now.
func roomFor(held int) int { return max(1024, 2*held) }

// claimedARP has the elements of claimed4: a set belongs to its table.
func claimedARP() *nftables.Set { return claimed(arpTable(), 4, "claimed4", nftables.TypeIPAddr) }

func claimed(t *nftables.Table, id uint32, name string, key nftables.SetDatatype) *nftables.Set {
	return &nftables.Set{Table: t, ID: id, Name: name, KeyType: key, KeyByteOrder: binaryutil.BigEndian}
}

// build queues what makes the tables anew, with addresses in them.
func build(conn *nftables.Conn, o Options, held map[netip.Addr]bool) error {
	renew(conn, inetTable())
	names := make([]nftables.SetElement, len(o.Interfaces))
	for i, name := range o.Interfaces {
		names[i].Key = interfaceKey(name)
	}
	failed := errors.Join(conn.AddSet(interfaceSet(), names), conn.AddSet(claimed4(), nil), conn.AddSet(claimed6(), nil),
		conn.AddSet(tails6(len(held)), nil))
	hook(conn, &nftables.Chain{
		Name: "prerouting", Table: inetTable(), Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw,
	}, packetRules(o.Bound))
	if o.Bound {
		renew(conn, arpTable())
		failed = errors.Join(failed, conn.AddSet(claimedARP(), nil))
		hook(conn, &nftables.Chain{
			Name: "input", Table: arpTable(), Hooknum: arpInput(), Priority: nftables.ChainPriorityFilter,
		}, arpRules())
	}
	all := slices.Collect(maps.Keys(held))
	return errors.Join(failed, each(conn, o.Bound, (*nftables.Conn).SetAddElements, all, tails(all, nil)))
}

// renew queues an empty table in place of what may be there.
func renew(conn *nftables.Conn, t *nftables.Table) {
	conn.AddTable(t) // so that there is one to be deleted
	conn.DelTable(t)
	conn.AddTable(t)
}

// hook queues a chain of the kernel's own path with its rules. What they do not
// drop goes on.
func hook(conn *nftables.Conn, c *nftables.Chain, rules [][]expr.Any) {
	policy := nftables.ChainPolicyAccept
	c.Type, c.Policy = nftables.ChainTypeFilter, &policy
	chain := conn.AddChain(c)
	for _, r := range rules {
		conn.AddRule(&nftables.Rule{Table: c.Table, Chain: chain, Exprs: r})
	}
}

// arpInput is the hook that ARP packets pass before the kernel reads them
// (NF_ARP_IN of linux/netfilter_arp.h).
func arpInput() *nftables.ChainHook { return nftables.ChainHookRef(0) }

// interfaceKey is a name as the kernel compares it: in a field of fixed length.
func interfaceKey(name string) []byte {
	key := make([]byte, unix.IFNAMSIZ)
	copy(key, name)
	return key
}

// packetRules are those of the chain for IP packets, in the order that costs
// everybody else's packets least. The destination is at offset 16 of an IPv4
// header (RFC 791 section 3.1), and at 24 of an IPv6 header (RFC 8200 section 3).
//
// Where the kernel does not own the addresses they are
//
//	ip daddr @claimed4 iifname @interfaces drop
//
// and the same for IPv6, so that others may forward to them. Where it does, every
// packet to them would be taken in, wherever it comes from: from containers, from
// other networks, or over lo from the host itself.
func packetRules(bound bool) [][]expr.Any {
	to4 := slices.Concat(family(unix.NFPROTO_IPV4), in(claimed4(), expr.PayloadBaseNetworkHeader, 16))
	to6 := slices.Concat(family(unix.NFPROTO_IPV6),
		in(tails6(0), expr.PayloadBaseNetworkHeader, 24+16-4), in(claimed6(), expr.PayloadBaseNetworkHeader, 24))
	if !bound {
		return [][]expr.Any{drop(to4, fromOurs()), drop(to6, fromOurs())}
	}
	return [][]expr.Any{drop(to4), drop(to6), drop(aboutClaimed(), fromOurs())}
}

func family(family byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
	}
}

// aboutClaimed matches neighbour solicitations and advertisements, ICMPv6 types
// 135 and 136, whose target is claimed; it is at offset 8 of both (RFC 4861
// sections 4.3 and 4.4). Most go to groups, not to the address. The kernel would
// answer the one, and complain of a duplicate after the other.
func aboutClaimed() []expr.Any {
	return append([]expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_ICMPV6}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: []byte{135}},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: []byte{136}},
	}, in(claimed6(), expr.PayloadBaseTransportHeader, 8)...)
}

// arpRules are: arp operation request arp daddr ip @claimed4 drop, on every
// interface: by default the kernel answers on each for all of its addresses
// (arp_ignore). The operation is at offset 6, and the target's IPv4 address at 24
// behind hardware addresses of 6 octets (RFC 826).
func arpRules() [][]expr.Any {
	request := []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 6, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0, 1}},
	}
	return [][]expr.Any{drop(request, in(claimedARP(), expr.PayloadBaseNetworkHeader, 24))}
}

// in matches packets with an element of the set at an offset.
func in(set *nftables.Set, base expr.PayloadBase, offset uint32) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: set.KeyType.Bytes},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID},
	}
}

// fromOurs matches packets that came in on one of our interfaces.
func fromOurs() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Lookup{SourceRegister: 1, SetName: interfaceSet().Name, SetID: interfaceSet().ID},
	}
}

func drop(matches ...[]expr.Any) []expr.Any {
	return append(slices.Concat(matches...), &expr.Verdict{Kind: expr.VerdictDrop})
}

// alteration is what is done to the elements of a set: they are added, or deleted.
type alteration func(*nftables.Conn, *nftables.Set, []nftables.SetElement) error

// each has alter take addresses, and tails of them, of all sets.
func each(conn *nftables.Conn, bound bool, alter alteration, addrs []netip.Addr, tails []nftables.SetElement) error {
	var v4, v6 []nftables.SetElement
	for _, ip := range addrs {
		if e := (nftables.SetElement{Key: ip.AsSlice()}); ip.Is4() {
			v4 = append(v4, e)
		} else {
			v6 = append(v6, e)
		}
	}
	var failed error
	chunks := func(set *nftables.Set, elements []nftables.SetElement) {
		for some := range slices.Chunk(elements, chunk) {
			failed = errors.Join(failed, alter(conn, set, some))
		}
	}
	chunks(claimed4(), v4)
	chunks(claimed6(), v6)
	chunks(tails6(0), tails)
	if bound {
		chunks(claimedARP(), v4)
	}
	return failed
}

// tails returns the elements of tails6 for addresses, each once, without those
// that one of the others has too: a machine often has the same interface
// identifier in each of its networks.
func tails(addrs []netip.Addr, others map[netip.Addr]bool) []nftables.SetElement {
	seen := make(map[[4]byte]bool)
	for ip := range others {
		if ip.Is6() {
			seen[tail(ip)] = true
		}
	}
	var elements []nftables.SetElement
	for _, ip := range addrs {
		if ip.Is6() && !seen[tail(ip)] {
			key := tail(ip)
			seen[key] = true
			elements = append(elements, nftables.SetElement{Key: key[:]})
		}
	}
	return elements
}

func tail(ip netip.Addr) [4]byte {
	b := ip.As16()
	return [4]byte(b[12:])
}
