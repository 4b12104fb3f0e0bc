// Package guard keeps the kernel of our own host silent about claimed addresses. Their
// packets come to our MAC, so a host that forwards answers them with ICMP redirects and
// "host unreachable", and one that owns the address with RST. nftables tables of our own
// drop these packets before the kernel handles them. No other table is changed.
//
// Packets for an address are dropped only on the interface where it is claimed: at the
// ingress hook, which comes after the packet sockets of the interface and before everything
// else. Frames between two ports of a bridge do not pass that hook, and packets that arrive
// on another interface are not dropped. Solicitations go to groups, and ARP is no IP
// packet: both pass, unless the kernel owns the addresses and would answer them.
//
// Packets of a machine to a diverted client are dropped as well: our readers forward them,
// and the kernel of a host that forwards would do it again.
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

// Install creates the tables in the network namespace of the calling thread, and replaces
// those of an earlier run. No address is held at first. The error names the remedy.
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

// Limits returns what the guard cannot do on this kernel, or "".
func (g *Guard) Limits() string {
	if g.noIngress {
		return noIngressLimits
	}
	return ""
}

// Hold silences the kernel about addresses that are claimed on an interface. After an error
// Check tries again.
func (g *Guard) Hold(ifi string, addrs ...netip.Addr) error {
	g.addInterface(ifi)
	added := include(g.held, ifi, addrs)
	return g.change(ifi, len(added), func(conn *nftables.Conn, p setGroup) error {
		return p.alterAddresses(conn, (*nftables.Conn).SetAddElements, added, nil)
	})
}

// Release ends Hold for addresses. After an error Check tries again.
func (g *Guard) Release(ifi string, addrs ...netip.Addr) error {
	gone := exclude(g.held, ifi, addrs)
	return g.change(ifi, len(gone), func(conn *nftables.Conn, p setGroup) error {
		left := g.heldIn(p)
		gone := slices.DeleteFunc(slices.Clone(gone), func(ip netip.Addr) bool { return left[ip] })
		return p.alterAddresses(conn, (*nftables.Conn).SetDeleteElements, gone, left)
	})
}

// change alters the sets in one transaction. If that fails another program has changed our
// tables, and they are replaced, as they are if a set is full. If the kernel does not
// answer, no claim waits for it again: only Check tries again.
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

// Check restores missing tables and chains: a firewall that loads its rules often deletes
// all tables first, and a kernel removes the chain of an interface together with it.
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

// Attach creates the chain of an interface again. The old chain was removed with the
// interface, or may belong to an earlier interface of that name.
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

// attach is Attach in one transaction. A missing interface, for which older kernels return
// an error, is no error: each Check tries again.
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

// replace creates the tables in one transaction. Older kernels refuse that if an interface
// is missing, and do not return which one.
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

// Close removes the tables. The Guard cannot be used afterwards. If the kernel does not
// answer, the tables stay until the next Install replaces them.
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

// removeUnused removes tables of an earlier run in another mode or of another version.
func (g *Guard) removeUnused() error {
	var unused []*nftables.Table
	for _, t := range []*nftables.Table{inetTable(), arpTable()} {
		if !slices.ContainsFunc(g.tables(), func(used *nftables.Table) bool { return used.Family == t.Family }) {
			unused = append(unused, t)
		}
	}
	return g.remove(unused)
}

// remove removes each table in its own transaction: a missing table ends the transaction,
// and some kernels have no ARP tables.
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

// Divert keeps the kernel from forwarding packets of flows that arrive on an interface.
// After an error Check tries again.
func (g *Guard) Divert(ifi string, ways ...Flow) error {
	added := include(g.diverted, ifi, ways)
	return g.change(ifi, len(added), func(conn *nftables.Conn, p setGroup) error {
		if !g.filtersIngress(p) {
			return nil
		}
		return p.alterFlows(conn, (*nftables.Conn).SetAddElements, added, nil)
	})
}

// Undivert ends Divert for flows. After an error Check tries again.
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
