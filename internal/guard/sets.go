package guard

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

// maxElements is how many elements fit into one message: the length of a netlink attribute
// has 16 bits, and the largest element, an IPv6 flow, 44 bytes.
const maxElements = 1024

// tableName is the name of all our tables. The netdev table has a chain for each interface.
// The inet table is for packets at the prerouting hook, the arp table for ARP.
const tableName = "nightporter"

func netdevTable() *nftables.Table { return setGroup{family: nftables.TableFamilyNetdev}.table() }
func inetTable() *nftables.Table   { return setGroup{family: nftables.TableFamilyINet}.table() }
func arpTable() *nftables.Table    { return setGroup{family: nftables.TableFamilyARP}.table() }

// setGroup is a group of sets in a table. The netdev table has one for each interface, the
// others have one for all interfaces.
type setGroup struct {
	family nftables.TableFamily // of the table
	number int                  // of the interface, from 1; 0: all
}

func (p setGroup) table() *nftables.Table { return &nftables.Table{Name: tableName, Family: p.family} }

func (p setGroup) compare(o setGroup) int {
	return cmp.Or(cmp.Compare(p.family, o.family), cmp.Compare(p.number, o.number))
}

// name returns the name of a set or chain of the group.
func (p setGroup) name(what string) string {
	if p.number == 0 {
		return what
	}
	return fmt.Sprintf("%s_%d", what, p.number)
}

// set returns a set of the group. Its ID identifies it within a transaction.
func (p setGroup) set(kind uint32, name string, key nftables.SetDatatype) *nftables.Set {
	id := uint32(p.number)<<8 | uint32(p.family)<<4 | kind
	return &nftables.Set{Table: p.table(), ID: id, Name: p.name(name), KeyType: key, KeyByteOrder: binaryutil.BigEndian}
}

func (p setGroup) claimed4() *nftables.Set { return p.set(1, "claimed4", nftables.TypeIPAddr) }
func (p setGroup) claimed6() *nftables.Set { return p.set(2, "claimed6", nftables.TypeIP6Addr) }

// suffixes6 has the last four bytes of the elements of claimed6. Four bytes are compared
// much faster than sixteen, and nearly every packet for another host ends there.
func (p setGroup) suffixes6() *nftables.Set { return p.set(3, "tails6", nftables.TypeInteger) }

// capacityFor returns the size of a set that has so many elements now.
func capacityFor(held int) int { return max(1024, 2*held) }

// onlyIPv4 reports whether the table has no IPv6 addresses.
func (p setGroup) onlyIPv4() bool { return p.family == nftables.TableFamilyARP }

// makeAddresses queues the sets with their addresses. With a known size the kernel uses its
// hash table for keys of four bytes.
func (p setGroup) makeAddresses(conn *nftables.Conn, held map[netip.Addr]bool, room int) error {
	four, tails := p.claimed4(), p.suffixes6()
	four.Size, tails.Size = uint32(room), uint32(room)
	failed := conn.AddSet(four, nil)
	if !p.onlyIPv4() {
		failed = errors.Join(failed, conn.AddSet(p.claimed6(), nil), conn.AddSet(tails, nil))
	}
	return errors.Join(failed, p.alterAddresses(conn, (*nftables.Conn).SetAddElements, slices.Collect(maps.Keys(held)), nil))
}

// alteration adds elements to a set, or deletes them.
type alteration func(*nftables.Conn, *nftables.Set, []nftables.SetElement) error

// alterAddresses calls do with addresses, and with those suffixes of them that none of
// others has.
func (p setGroup) alterAddresses(conn *nftables.Conn, do alteration, addrs []netip.Addr, others map[netip.Addr]bool) error {
	four, six := byFamily(addrs)
	failed := alterSet(conn, do, p.claimed4(), four, netip.Addr.AsSlice)
	if !p.onlyIPv4() {
		_, others6 := byFamily(slices.Collect(maps.Keys(others)))
		failed = errors.Join(failed, alterSet(conn, do, p.claimed6(), six, netip.Addr.AsSlice),
			alterSet(conn, do, p.suffixes6(), newSuffixes(six, others6), suffix.key))
	}
	return failed
}

// byFamily separates IPv4 and IPv6 addresses.
func byFamily(addrs []netip.Addr) (four, six []netip.Addr) {
	for _, ip := range addrs {
		if ip.Is4() {
			four = append(four, ip)
		} else {
			six = append(six, ip)
		}
	}
	return four, six
}

// alterSet calls do with the elements of one set, in as many messages as necessary.
func alterSet[E any](conn *nftables.Conn, do alteration, set *nftables.Set, all []E, key func(E) []byte) (failed error) {
	for some := range slices.Chunk(all, maxElements) {
		elements := make([]nftables.SetElement, len(some))
		for i, e := range some {
			elements[i].Key = key(e)
		}
		failed = errors.Join(failed, do(conn, set, elements))
	}
	return failed
}

// suffix is the last four bytes of an address.
type suffix [4]byte

func suffixOf(ip netip.Addr) suffix {
	b := ip.As16()
	return suffix(b[12:])
}

func (t suffix) key() []byte { return t[:] }

// newSuffixes returns the suffixes of addresses, each once, without those that one of the
// others has too: a machine often has the same interface identifier in several networks.
func newSuffixes(addrs, others []netip.Addr) (all []suffix) {
	seen := make(map[suffix]bool)
	for _, ip := range others {
		seen[suffixOf(ip)] = true
	}
	for _, ip := range addrs {
		if t := suffixOf(ip); !seen[t] {
			seen[t] = true
			all = append(all, t)
		}
	}
	return all
}

// interfaceSet has the names of our interfaces.
func interfaceSet() *nftables.Set {
	return &nftables.Set{Table: inetTable(), ID: 1, Name: "interfaces", KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
}

// interfaceKey returns a name as the kernel compares it: in a field of fixed length.
func interfaceKey(name string) []byte {
	key := make([]byte, unix.IFNAMSIZ)
	copy(key, name)
	return key
}

// Flow is the packets from an address of a machine to that of a client, of the same family.
type Flow struct{ From, To netip.Addr }

// key returns both addresses in the order of the headers.
func (f Flow) key() []byte { return append(f.From.AsSlice(), f.To.AsSlice()...) }

// ways4 and ways6 have the diverted flows.
func (p setGroup) ways4() *nftables.Set { return p.set(4, "ways4", pairOf(nftables.TypeIPAddr)) }
func (p setGroup) ways6() *nftables.Set { return p.set(5, "ways6", pairOf(nftables.TypeIP6Addr)) }

// clients has the last four bytes of the destinations of flows, of both families: an IPv4
// address, or the suffix of an IPv6 address, which is compared first.
func (p setGroup) clients() *nftables.Set { return p.set(6, "clients", nftables.TypeInteger) }

func pairOf(key nftables.SetDatatype) nftables.SetDatatype {
	return nftables.MustConcatSetType(key, key)
}

// makeFlows is makeAddresses for diverted flows.
func (p setGroup) makeFlows(conn *nftables.Conn, diverted map[Flow]bool, room int) error {
	clients := p.clients()
	clients.Size = uint32(room)
	failed := errors.Join(conn.AddSet(p.ways4(), nil), conn.AddSet(p.ways6(), nil), conn.AddSet(clients, nil))
	return errors.Join(failed, p.alterFlows(conn, (*nftables.Conn).SetAddElements, slices.Collect(maps.Keys(diverted)), nil))
}

// alterFlows calls do with flows, and with those suffixes of their clients that none of
// others has.
func (p setGroup) alterFlows(conn *nftables.Conn, do alteration, flows []Flow, others map[Flow]bool) error {
	var four, six []Flow
	var to, toOthers []netip.Addr
	for _, w := range flows {
		if to = append(to, w.To); w.To.Is4() {
			four = append(four, w)
		} else {
			six = append(six, w)
		}
	}
	for w := range others {
		toOthers = append(toOthers, w.To)
	}
	return errors.Join(alterSet(conn, do, p.ways4(), four, Flow.key), alterSet(conn, do, p.ways6(), six, Flow.key),
		alterSet(conn, do, p.clients(), newSuffixes(to, toOthers), suffix.key))
}
