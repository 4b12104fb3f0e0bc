// Package guard keeps the kernel of our own host silent about claimed
// addresses. Their packets come to our MAC, so a host that forwards answers
// them with ICMP redirects and "host unreachable", and one that owns the
// address with RST. Tables of nftables of our own drop them before the kernel
// looks at them. No other table is touched.
//
// An address is claimed on an interface, and dropped is what came in there: at the
// ingress hook, behind the packet sockets of the interface and before all else. A
// frame that a bridge passes from one port to another does not come by, and a packet
// for the address that came in elsewhere goes its way. Solicitations go to groups
// and ARP is no IP packet: neither is touched, unless the kernel owns the addresses
// and would answer those too.
//
// What a machine sends to a client that it has at our MAC is dropped as well: our
// readers send it on, which the kernel of a host that forwards would do again.
package guard

import (
	"cmp"
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Guard is what we have in the kernel. Its methods are not for several goroutines
// at once.
type Guard struct {
	dial      func() (*session, error)
	session   *session // nil: the next transaction opens one
	opts      Options
	noIngress bool                           // the kernel has no ingress hook
	held      map[string]map[netip.Addr]bool // by interface
	diverted  map[string]map[Way]bool        // by interface
	broken    bool                           // the kernel may have something else than held and diverted
	mute      error                          // the kernel does not answer; nil: it does
	room      int                            // for how many addresses and ways the tables were made
}

// Options are what a Guard has to know.
type Options struct {
	Interfaces []string // on which addresses may be claimed, there or not, as far as they are known
	// Bound says that the kernel owns the claimed addresses. Then packets to them
	// are dropped wherever they come from, and ARP requests and neighbour
	// solicitations about them as well: the kernel would answer also the machine
	// itself, whose duplicate address detection would fail. An address is to be
	// held before it is bound, and until it is unbound.
	Bound bool
}

// noIngressLimits is what a kernel without the ingress hook costs.
const noIngressLimits = "this kernel has no ingress hook for nftables (NF_TABLES_NETDEV): knocks are not seen on a bridge with br_netfilter, " +
	"nor those that this host routes from one of nightporter's interfaces to another"

// Install puts the tables into the network namespace of the calling thread, and in
// place of what an earlier run may have left. Nothing is held at first. The error
// names the remedy.
func Install(o Options) (*Guard, error) { return install(dial, o) }

func install(dial func() (*session, error), o Options) (*Guard, error) {
	g := &Guard{dial: dial, opts: o, held: make(map[string]map[netip.Addr]bool), diverted: make(map[string]map[Way]bool)}
	err := g.replace()
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		g.noIngress = true
		err = g.replace()
	}
	if err == nil {
		err = g.removeUnused()
	}
	if err != nil {
		return nil, errors.Join(err, g.disconnect())
	}
	return g, nil
}

// Limits says what the guard cannot do on this kernel; empty: nothing.
func (g *Guard) Limits() string {
	if g.noIngress {
		return noIngressLimits
	}
	return ""
}

// Hold silences the kernel about addresses that are claimed on an interface. With an
// error they are kept in mind, and Check tries again.
func (g *Guard) Hold(ifi string, addrs ...netip.Addr) error {
	g.takeIn(ifi)
	added := include(g.held, ifi, addrs)
	return g.change(ifi, len(added), func(conn *nftables.Conn, p place) error {
		return p.alter(conn, (*nftables.Conn).SetAddElements, added, nil)
	})
}

// takeIn has the tables made anew with an interface that Options did not name.
func (g *Guard) takeIn(ifi string) {
	if g.number(ifi) == 0 {
		g.opts.Interfaces = append(slices.Clone(g.opts.Interfaces), ifi)
		g.broken = true
	}
}

// Release lets the kernel do with addresses what it likes. With an error Check
// tries again.
func (g *Guard) Release(ifi string, addrs ...netip.Addr) error {
	gone := exclude(g.held, ifi, addrs)
	return g.change(ifi, len(gone), func(conn *nftables.Conn, p place) error {
		left := g.heldIn(p)
		gone := slices.DeleteFunc(slices.Clone(gone), func(ip netip.Addr) bool { return left[ip] })
		return p.alter(conn, (*nftables.Conn).SetDeleteElements, gone, left)
	})
}

// include adds elements to those of an interface, and returns the new ones.
func include[E comparable](all map[string]map[E]bool, ifi string, elements []E) (added []E) {
	if all[ifi] == nil {
		all[ifi] = make(map[E]bool)
	}
	for _, e := range elements {
		if !all[ifi][e] {
			all[ifi][e] = true
			added = append(added, e)
		}
	}
	return added
}

// exclude takes elements from those of an interface, and returns which were there.
func exclude[E comparable](all map[string]map[E]bool, ifi string, elements []E) (gone []E) {
	for _, e := range elements {
		if all[ifi][e] {
			delete(all[ifi], e)
			gone = append(gone, e)
		}
	}
	return gone
}

// change alters the sets, all of it or nothing. Where that fails, somebody has
// changed our tables: then they are made anew, as they are where there is no room. A
// kernel that does not answer is not waited for again with each claim: Check asks
// it, once in a while.
func (g *Guard) change(ifi string, elements int, alter func(*nftables.Conn, place) error) error {
	switch {
	case elements == 0 && !g.broken:
		return nil
	case g.mute != nil:
		g.broken = true
		return g.mute
	case !g.broken && g.count() <= g.room && g.transact(func(conn *nftables.Conn) error {
		var failed error
		for _, p := range g.places(ifi) {
			failed = errors.Join(failed, alter(conn, p))
		}
		return errors.Join(failed, conn.Flush())
	}) == nil:
		return nil
	}
	return g.replace()
}

// places returns where the addresses that are claimed on an interface are kept. What
// the kernel owns it takes in from everywhere: those are the same for all interfaces.
func (g *Guard) places(ifi string) []place {
	if !g.opts.Bound && !g.noIngress {
		return []place{{family: nftables.TableFamilyNetdev, number: g.number(ifi)}}
	}
	var all []place
	for _, t := range g.tables() {
		all = append(all, place{family: t.Family})
	}
	return all
}

// tables returns those that are needed.
func (g *Guard) tables() (all []*nftables.Table) {
	if !g.noIngress {
		all = append(all, netdevTable())
	}
	if g.noIngress || g.opts.Bound {
		all = append(all, inetTable())
	}
	if g.opts.Bound {
		all = append(all, arpTable())
	}
	return all
}

// number is that of an interface, from 1.
func (g *Guard) number(ifi string) int { return slices.Index(g.opts.Interfaces, ifi) + 1 }

// heldIn returns what is held in a place.
func (g *Guard) heldIn(p place) map[netip.Addr]bool { return ofPlace(g, g.held, p) }

// ofPlace returns what there is of all interfaces that a place is for.
func ofPlace[E comparable](g *Guard, byInterface map[string]map[E]bool, p place) map[E]bool {
	if p.number > 0 {
		return byInterface[g.opts.Interfaces[p.number-1]]
	}
	all := make(map[E]bool)
	for _, elements := range byInterface {
		maps.Copy(all, elements)
	}
	return all
}

func (g *Guard) count() (all int) {
	for _, held := range g.held {
		all += len(held)
	}
	for _, ways := range g.diverted {
		all += len(ways)
	}
	return all
}

// Check looks whether all is still there, and puts it back where it is not:
// reloading a firewall's rules often begins with deleting all tables, and a kernel
// may take the chain of an interface away with it.
func (g *Guard) Check() error {
	if g.broken || slices.ContainsFunc(g.tables(), func(t *nftables.Table) bool { return !g.there(t) }) {
		return g.replace()
	}
	if g.noIngress {
		return nil
	}
	chains := make(map[string]bool)
	err := g.transact(func(conn *nftables.Conn) error {
		all, err := conn.ListChainsOfTableFamily(nftables.TableFamilyNetdev)
		for _, c := range all {
			chains[c.Name] = chains[c.Name] || c.Table.Name == tableName
		}
		return err
	})
	if err != nil {
		return g.replace()
	}
	for _, name := range g.opts.Interfaces {
		if !chains[chainName(g.number(name))] {
			err = cmp.Or(err, g.Attach(name))
		}
	}
	return err
}

func (g *Guard) there(t *nftables.Table) bool {
	return g.transact(func(conn *nftables.Conn) error {
		_, err := conn.ListTableOfFamily(t.Name, t.Family)
		return err
	}) == nil
}

// Attach makes the chain of an interface anew, which is there, or is again: the
// chain may have gone with it, or may hang on what it was before.
func (g *Guard) Attach(ifi string) error {
	g.takeIn(ifi)
	switch {
	case g.mute != nil:
		return g.mute
	case g.noIngress && !g.broken:
		return nil
	case g.broken || g.attach(ifi) != nil:
		return g.replace()
	}
	return nil
}

// attach is Attach. It is no error if there is no such interface, which older
// kernels mind: it is tried again with each Check.
func (g *Guard) attach(ifi string) error {
	err := g.transact(func(conn *nftables.Conn) error {
		g.ingress(conn, ifi)
		return conn.Flush()
	})
	if err == nil || errors.Is(err, unix.ENOENT) && g.there(netdevTable()) {
		return nil
	}
	g.broken = true
	return explain(err)
}

// replace makes the tables as they have to be, in one transaction. Older kernels
// refuse it for an interface that is not there, and do not say which one that is.
func (g *Guard) replace() error {
	g.broken, g.mute = true, nil
	room := roomFor(g.count())
	err := g.build(room, g.opts.Interfaces)
	missing := errors.Is(err, unix.ENOENT)
	if missing {
		err = g.build(room, nil)
	}
	if err != nil {
		mute := errors.Is(err, os.ErrDeadlineExceeded)
		if err = explain(err); mute {
			g.mute = err
		}
		return err
	}
	g.broken, g.room = false, room
	if missing {
		for _, name := range g.opts.Interfaces {
			err = cmp.Or(err, g.attach(name))
		}
	}
	return err
}

// Close removes the tables. The Guard is of no use afterwards. A kernel that does
// not answer is not asked: the next Install replaces what is left.
func (g *Guard) Close() error {
	if g.mute != nil {
		return errors.Join(g.mute, g.disconnect())
	}
	return errors.Join(g.remove(g.tables()), g.disconnect())
}

// Clear removes the tables that an earlier run may have left.
func Clear() error {
	g := &Guard{dial: dial}
	return errors.Join(g.remove([]*nftables.Table{netdevTable(), inetTable(), arpTable()}), g.disconnect())
}

// removeUnused removes the tables of an earlier run that was in another mode, or of
// another version.
func (g *Guard) removeUnused() error {
	var unused []*nftables.Table
	for _, t := range []*nftables.Table{inetTable(), arpTable()} {
		if !slices.ContainsFunc(g.tables(), func(used *nftables.Table) bool { return used.Family == t.Family }) {
			unused = append(unused, t)
		}
	}
	return g.remove(unused)
}

// remove has a transaction of its own for each table: one that is not there
// ends it, and a kernel may know no ARP tables at all.
func (g *Guard) remove(tables []*nftables.Table) error {
	var failed error
	for _, t := range tables {
		err := g.transact(func(conn *nftables.Conn) error {
			conn.DelTable(t)
			return conn.Flush()
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			failed = errors.Join(failed, explain(err))
		}
	}
	return failed
}
