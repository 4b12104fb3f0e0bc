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
	"net/netip"
	"os"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Install puts the tables into the network namespace of the calling thread, and in
// place of what an earlier run may have left. Nothing is held at first. The error
// names the remedy.
func Install(o Options) (*Guard, error) { return install(dial, o) }

func install(dial func() (*session, error), o Options) (*Guard, error) {
	g := &Guard{dial: dial, opts: o, held: make(map[string]map[netip.Addr]bool), diverted: make(map[string]map[Flow]bool)}
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
	g.addInterface(ifi)
	added := include(g.held, ifi, addrs)
	return g.change(ifi, len(added), func(conn *nftables.Conn, p setGroup) error {
		return p.alterAddresses(conn, (*nftables.Conn).SetAddElements, added, nil)
	})
}

// Release lets the kernel do with addresses what it likes. With an error Check
// tries again.
func (g *Guard) Release(ifi string, addrs ...netip.Addr) error {
	gone := exclude(g.held, ifi, addrs)
	return g.change(ifi, len(gone), func(conn *nftables.Conn, p setGroup) error {
		left := g.heldIn(p)
		gone := slices.DeleteFunc(slices.Clone(gone), func(ip netip.Addr) bool { return left[ip] })
		return p.alterAddresses(conn, (*nftables.Conn).SetDeleteElements, gone, left)
	})
}

// change alters the sets, all of it or nothing. Where that fails, somebody has
// changed our tables: then they are made anew, as they are where there is no room. A
// kernel that does not answer is not waited for again with each claim: Check asks
// it, once in a while.
func (g *Guard) change(ifi string, elements int, alter func(*nftables.Conn, setGroup) error) error {
	switch {
	case elements == 0 && !g.broken:
		return nil
	case g.unresponsive != nil:
		g.broken = true
		return g.unresponsive
	case !g.broken && g.count() <= g.capacity && g.transact(func(conn *nftables.Conn) error {
		var failed error
		for _, p := range g.setGroups(ifi) {
			failed = errors.Join(failed, alter(conn, p))
		}
		return errors.Join(failed, conn.Flush())
	}) == nil:
		return nil
	}
	return g.replace()
}

// Check looks whether all is still there, and puts it back where it is not:
// reloading a firewall's rules often begins with deleting all tables, and a kernel
// may take the chain of an interface away with it.
func (g *Guard) Check() error {
	if g.broken || slices.ContainsFunc(g.tables(), func(t *nftables.Table) bool { return !g.tableExists(t) }) {
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

// Attach makes the chain of an interface anew, which is there, or is again: the
// chain may have gone with it, or may hang on what it was before.
func (g *Guard) Attach(ifi string) error {
	g.addInterface(ifi)
	switch {
	case g.unresponsive != nil:
		return g.unresponsive
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
	if err == nil || errors.Is(err, unix.ENOENT) && g.tableExists(netdevTable()) {
		return nil
	}
	g.broken = true
	return explain(err)
}

// replace makes the tables as they have to be, in one transaction. Older kernels
// refuse it for an interface that is not there, and do not say which one that is.
func (g *Guard) replace() error {
	g.broken, g.unresponsive = true, nil
	room := capacityFor(g.count())
	err := g.build(room, g.opts.Interfaces)
	missing := errors.Is(err, unix.ENOENT)
	if missing {
		err = g.build(room, nil)
	}
	if err != nil {
		mute := errors.Is(err, os.ErrDeadlineExceeded)
		if err = explain(err); mute {
			g.unresponsive = err
		}
		return err
	}
	g.broken, g.capacity = false, room
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
	if g.unresponsive != nil {
		return errors.Join(g.unresponsive, g.disconnect())
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

// Divert keeps the kernel from sending on what comes in on an interface by the ways.
// With an error they are kept in mind, and Check tries again.
func (g *Guard) Divert(ifi string, ways ...Flow) error {
	added := include(g.diverted, ifi, ways)
	return g.change(ifi, len(added), func(conn *nftables.Conn, p setGroup) error {
		if !g.filtersIngress(p) {
			return nil
		}
		return p.alterFlows(conn, (*nftables.Conn).SetAddElements, added, nil)
	})
}

// Undivert lets the kernel do with the ways what it likes. With an error Check tries
// again.
func (g *Guard) Undivert(ifi string, ways ...Flow) error {
	gone := exclude(g.diverted, ifi, ways)
	return g.change(ifi, len(gone), func(conn *nftables.Conn, p setGroup) error {
		if !g.filtersIngress(p) {
			return nil
		}
		left := g.divertedIn(p)
		gone := slices.DeleteFunc(slices.Clone(gone), func(w Flow) bool { return left[w] })
		return p.alterFlows(conn, (*nftables.Conn).SetDeleteElements, gone, left)
	})
}

// Probe reports whether nftables can be used here. It changes nothing.
func Probe() error {
	g := &Guard{dial: dial}
	err := g.transact(func(conn *nftables.Conn) error {
		_, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
		return err
	})
	if err != nil {
		err = explain(err)
	}
	return errors.Join(err, g.disconnect())
}
