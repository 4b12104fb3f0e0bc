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

func table() *nftables.Table {
	return &nftables.Table{Name: "nightporter", Family: nftables.TableFamilyINet}
}

// The sets have fixed numbers, which tell them apart within a transaction.

func interfaceSet() *nftables.Set {
	return &nftables.Set{Table: table(), ID: 1, Name: "interfaces", KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
}

func claimed4() *nftables.Set {
	return &nftables.Set{Table: table(), ID: 2, Name: "claimed4", KeyType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian}
}

func claimed6() *nftables.Set {
	return &nftables.Set{Table: table(), ID: 3, Name: "claimed6", KeyType: nftables.TypeIP6Addr, KeyByteOrder: binaryutil.BigEndian}
}

// build queues what makes the table anew, with addresses in it.
func build(conn *nftables.Conn, interfaces []string, held map[netip.Addr]bool) error {
	t := table()
	conn.AddTable(t) // so that there is one to be deleted
	conn.DelTable(t)
	conn.AddTable(t)
	policy := nftables.ChainPolicyAccept
	chain := conn.AddChain(&nftables.Chain{
		Name: "prerouting", Table: t, Type: nftables.ChainTypeFilter, Policy: &policy,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw,
	})
	names := make([]nftables.SetElement, len(interfaces))
	for i, name := range interfaces {
		names[i].Key = interfaceKey(name)
	}
	failed := errors.Join(
		conn.AddSet(interfaceSet(), names), conn.AddSet(claimed4(), nil), conn.AddSet(claimed6(), nil),
		each(conn.SetAddElements, slices.Collect(maps.Keys(held))),
	)
	for _, r := range rules() {
		conn.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: r})
	}
	return failed
}

// interfaceKey is a name as the kernel compares it: in a field of fixed length.
func interfaceKey(name string) []byte {
	key := make([]byte, unix.IFNAMSIZ)
	copy(key, name)
	return key
}

// rules are those of the chain: ip daddr @claimed4 iifname @interfaces drop,
// and the same for IPv6, in the order that costs everybody else's packets least.
// The destination is at offset 16 of an IPv4 header (RFC 791 section 3.1), and at
// 24 of an IPv6 header (RFC 8200 section 3).
func rules() [][]expr.Any {
	return [][]expr.Any{
		drop(unix.NFPROTO_IPV4, 16, claimed4()),
		drop(unix.NFPROTO_IPV6, 24, claimed6()),
	}
}

func drop(family byte, offset uint32, claimed *nftables.Set) []expr.Any {
	interfaces := interfaceSet()
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: claimed.KeyType.Bytes},
		&expr.Lookup{SourceRegister: 1, SetName: claimed.Name, SetID: claimed.ID},
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Lookup{SourceRegister: 1, SetName: interfaces.Name, SetID: interfaces.ID},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// each has alter take the addresses of both sets.
func each(alter func(*nftables.Set, []nftables.SetElement) error, addrs []netip.Addr) error {
	var v4, v6 []nftables.SetElement
	for _, ip := range addrs {
		if e := (nftables.SetElement{Key: ip.AsSlice()}); ip.Is4() {
			v4 = append(v4, e)
		} else {
			v6 = append(v6, e)
		}
	}
	var failed error
	for some := range slices.Chunk(v4, chunk) {
		failed = errors.Join(failed, alter(claimed4(), some))
	}
	for some := range slices.Chunk(v6, chunk) {
		failed = errors.Join(failed, alter(claimed6(), some))
	}
	return failed
}
