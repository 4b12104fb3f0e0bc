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

// chunk is how many elements go into one message: the length of a netlink
// attribute has 16 bits, and the largest element, an IPv6 way, 44 octets.
const chunk = 1024

// tableName is that of all our tables. The one of the family netdev has a chain for
// each interface. The others are for packets on their way through the kernel, and
// for ARP.
const tableName = "nightporter"

func netdevTable() *nftables.Table { return place{family: nftables.TableFamilyNetdev}.table() }
func inetTable() *nftables.Table   { return place{family: nftables.TableFamilyINet}.table() }
func arpTable() *nftables.Table    { return place{family: nftables.TableFamilyARP}.table() }

// place is where a table keeps claimed addresses. The netdev table has one for each
// interface, the others have one for all.
type place struct {
	family nftables.TableFamily // of the table
	number int                  // of the interface, from 1; 0: all
}

func (p place) table() *nftables.Table { return &nftables.Table{Name: tableName, Family: p.family} }

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.family, o.family), cmp.Compare(p.number, o.number))
}

// name is that of something in the table that belongs to the place.
func (p place) name(what string) string {
	if p.number == 0 {
		return what
	}
	return fmt.Sprintf("%s_%d", what, p.number)
}

// set has a number of its own, which tells it apart within a transaction.
func (p place) set(kind uint32, name string, key nftables.SetDatatype) *nftables.Set {
	id := uint32(p.number)<<8 | uint32(p.family)<<4 | kind
	return &nftables.Set{Table: p.table(), ID: id, Name: p.name(name), KeyType: key, KeyByteOrder: binaryutil.BigEndian}
}

func (p place) claimed4() *nftables.Set { return p.set(1, "claimed4", nftables.TypeIPAddr) }
func (p place) claimed6() *nftables.Set { return p.set(2, "claimed6", nftables.TypeIP6Addr) }

// tails6 has the last four octets of the elements of claimed6. Four octets are
// read and looked up in much less time than sixteen, and nearly every packet that
// is not for us ends there.
func (p place) tails6() *nftables.Set { return p.set(3, "tails6", nftables.TypeInteger) }

// roomFor is the size of a set that has so many elements now.
func roomFor(held int) int { return max(1024, 2*held) }

// onlyIPv4 reports whether the table knows no IPv6 addresses.
func (p place) onlyIPv4() bool { return p.family == nftables.TableFamilyARP }

// make queues the sets, with addresses in them and room for so many. A known size
// lets the kernel take its hash table for keys of four octets.
func (p place) make(conn *nftables.Conn, held map[netip.Addr]bool, room int) error {
	four, tails := p.claimed4(), p.tails6()
	four.Size, tails.Size = uint32(room), uint32(room)
	failed := conn.AddSet(four, nil)
	if !p.onlyIPv4() {
		failed = errors.Join(failed, conn.AddSet(p.claimed6(), nil), conn.AddSet(tails, nil))
	}
	return errors.Join(failed, p.alter(conn, (*nftables.Conn).SetAddElements, slices.Collect(maps.Keys(held)), nil))
}

// alteration is what is done to the elements of a set: they are added, or deleted.
type alteration func(*nftables.Conn, *nftables.Set, []nftables.SetElement) error

// alter has do take addresses, and tails of them that none of others has.
func (p place) alter(conn *nftables.Conn, do alteration, addrs []netip.Addr, others map[netip.Addr]bool) error {
	four, six := byFamily(addrs)
	failed := alterSet(conn, do, p.claimed4(), four, netip.Addr.AsSlice)
	if !p.onlyIPv4() {
		_, others6 := byFamily(slices.Collect(maps.Keys(others)))
		failed = errors.Join(failed, alterSet(conn, do, p.claimed6(), six, netip.Addr.AsSlice),
			alterSet(conn, do, p.tails6(), newTails(six, others6), tail.key))
	}
	return failed
}

// byFamily parts IPv4 from IPv6 addresses.
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

// alterSet has do take the elements of one set, in as many messages as it takes.
func alterSet[E any](conn *nftables.Conn, do alteration, set *nftables.Set, all []E, key func(E) []byte) (failed error) {
	for some := range slices.Chunk(all, chunk) {
		elements := make([]nftables.SetElement, len(some))
		for i, e := range some {
			elements[i].Key = key(e)
		}
		failed = errors.Join(failed, do(conn, set, elements))
	}
	return failed
}

// tail is the last four octets of an address.
type tail [4]byte

func tailOf(ip netip.Addr) tail {
	b := ip.As16()
	return tail(b[12:])
}

func (t tail) key() []byte { return t[:] }

// newTails returns the tails of addresses, each once, without those that one of the
// others has too: a machine often has the same interface identifier in each of its
// networks.
func newTails(addrs, others []netip.Addr) (all []tail) {
	seen := make(map[tail]bool)
	for _, ip := range others {
		seen[tailOf(ip)] = true
	}
	for _, ip := range addrs {
		if t := tailOf(ip); !seen[t] {
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

// interfaceKey is a name as the kernel compares it: in a field of fixed length.
func interfaceKey(name string) []byte {
	key := make([]byte, unix.IFNAMSIZ)
	copy(key, name)
	return key
}

// build makes the tables anew, with chains for the interfaces that are there.
func (g *Guard) build(room int, there []string) error {
	return g.transact(func(conn *nftables.Conn) error {
		failed := g.buildSets(conn, room)
		if !g.noIngress {
			for _, name := range there {
				g.ingress(conn, name)
			}
		}
		if g.noIngress || g.opts.Bound {
			failed = errors.Join(failed, g.prerouting(conn))
		}
		if g.opts.Bound {
			hook(conn, &nftables.Chain{
				Name: "input", Table: arpTable(), Hooknum: arpInput(), Priority: nftables.ChainPriorityFilter,
			}, arpRules(place{family: nftables.TableFamilyARP}))
		}
		return errors.Join(failed, conn.Flush())
	})
}

// buildSets queues the tables, with the sets of claimed addresses.
func (g *Guard) buildSets(conn *nftables.Conn, room int) error {
	for _, t := range g.tables() {
		conn.AddTable(t) // so that there is one to be deleted
		conn.DelTable(t)
		conn.AddTable(t)
	}
	var all []place
	for _, name := range g.opts.Interfaces {
		all = append(all, g.places(name)...)
	}
	if g.opts.Bound || g.noIngress {
		all = append(all, g.places("")...) // rules of all interfaces need them, also where none is known so far
	}
	slices.SortFunc(all, place.compare)
	if !g.noIngress {
		fill(conn, conn.AddChain(&nftables.Chain{Name: matched, Table: netdevTable()}), matchedRules())
	}
	var failed error
	for _, p := range slices.Compact(all) {
		failed = errors.Join(failed, p.make(conn, g.heldIn(p), room))
		if g.judges(p) {
			failed = errors.Join(failed, p.makeWays(conn, g.divertedIn(p), room))
		}
		if p.family == nftables.TableFamilyNetdev {
			fill(conn, conn.AddChain(&nftables.Chain{Name: p.name(unreachable), Table: p.table()}), unreachableRules(p))
		}
	}
	return failed
}

// prerouting queues the chain for packets on their way through the kernel.
func (g *Guard) prerouting(conn *nftables.Conn) error {
	names := make([]nftables.SetElement, len(g.opts.Interfaces))
	for i, name := range g.opts.Interfaces {
		names[i].Key = interfaceKey(name)
	}
	failed := conn.AddSet(interfaceSet(), names)
	p := place{family: nftables.TableFamilyINet}
	rules := preroutingRules(p)
	if g.noIngress {
		rules = withoutIngress(p, g.opts.Bound)
	}
	hook(conn, &nftables.Chain{
		Name: "prerouting", Table: p.table(), Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw,
	}, rules)
	return failed
}

// ingress queues the chain of an interface anew. It comes after the packet sockets
// of the interface and before all else. A frame that only passes through a bridge
// does not come by.
func (g *Guard) ingress(conn *nftables.Conn, ifi string) {
	c := &nftables.Chain{Name: chainName(g.number(ifi)), Table: netdevTable()}
	conn.AddChain(c) // so that there is one to be deleted
	conn.DelChain(c)
	hook(conn, &nftables.Chain{
		Name: c.Name, Table: c.Table, Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityRaw, Device: ifi,
	}, ingressRules(g.places(ifi)[0], g.opts.Bound))
}

func chainName(number int) string { return fmt.Sprint("ingress_", number) }
