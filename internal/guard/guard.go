// Package guard keeps the kernel of our own host silent about claimed
// addresses. Their packets come to our MAC, so a host that forwards answers
// them with ICMP redirects and "host unreachable", and one that owns the
// address with RST. A table of nftables of our own drops them before the kernel
// looks at them; packet sockets have seen them by then. ARP is another family,
// and solicitations go to multicast addresses: neither is touched, unless the
// kernel owns the addresses and would answer those too. No other table is.
package guard

import (
	"errors"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Guard is the table in the kernel. Its methods are not for several goroutines
// at once.
type Guard struct {
	dial    func() (*session, error)
	session *session // nil: the next transaction opens one
	opts    Options
	held    map[netip.Addr]bool
	broken  bool  // the kernel may hold something else than held
	mute    error // the kernel does not answer; nil: it does
	room    int   // for how many addresses the table was made
}

// Options are what a Guard has to know.
type Options struct {
	Interfaces []string // on which the addresses are claimed
	// Bound says that the kernel owns the claimed addresses. Then packets to them
	// are dropped wherever they come from, and ARP requests and neighbour
	// solicitations about them as well: the kernel would answer also the machine
	// itself, whose duplicate address detection would fail. An address is to be
	// held before it is bound, and until it is unbound.
	Bound bool
}

// Install puts the table into the network namespace of the calling thread, in
// one transaction, and in place of what an earlier run may have left. Packets
// that come in on one of the interfaces are dropped for the addresses held;
// there are none at first. The error names the remedy.
func Install(o Options) (*Guard, error) { return install(dial, o) }

func install(dial func() (*session, error), o Options) (*Guard, error) {
	g := &Guard{dial: dial, opts: o, held: make(map[netip.Addr]bool)}
	err := g.replace()
	if err == nil && !o.Bound {
		err = g.remove(arpTable()) // an earlier run was bound
	}
	if err != nil {
		return nil, errors.Join(err, g.disconnect())
	}
	return g, nil
}

// Hold silences the kernel about addresses. With an error they are kept in
// mind, and Check tries again.
func (g *Guard) Hold(addrs ...netip.Addr) error {
	var added []netip.Addr
	for _, ip := range addrs {
		if !g.held[ip] {
			g.held[ip] = true
			added = append(added, ip)
		}
	}
	return g.change((*nftables.Conn).SetAddElements, added, tails(added, nil))
}

// Release lets the kernel do with addresses what it likes. With an error Check
// tries again.
func (g *Guard) Release(addrs ...netip.Addr) error {
	var gone []netip.Addr
	for _, ip := range addrs {
		if g.held[ip] {
			delete(g.held, ip)
			gone = append(gone, ip)
		}
	}
	return g.change((*nftables.Conn).SetDeleteElements, gone, tails(gone, g.held))
}

// change alters the sets, all of it or nothing. Where that fails, somebody has
// changed our table: then it is made anew, as it is where there is no room. A
// kernel that does not answer is not waited for again with each claim: Check asks
// it, once in a while.
func (g *Guard) change(alter alteration, addrs []netip.Addr, tails []nftables.SetElement) error {
	switch {
	case len(addrs) == 0 && !g.broken:
		return nil
	case g.mute != nil:
		g.broken = true
		return g.mute
	case !g.broken && len(g.held) <= g.room && g.transact(func(conn *nftables.Conn) error {
		return errors.Join(each(conn, g.opts.Bound, alter, addrs, tails), conn.Flush())
	}) == nil:
		return nil
	}
	return g.replace()
}

// Check looks whether all is still there, and puts it back where it is not:
// reloading a firewall's rules often begins with deleting all tables.
func (g *Guard) Check() error {
	if !g.broken && g.there(inetTable()) && (!g.opts.Bound || g.there(arpTable())) {
		return nil
	}
	return g.replace()
}

func (g *Guard) there(t *nftables.Table) bool {
	return g.transact(func(conn *nftables.Conn) error {
		_, err := conn.ListTableOfFamily(t.Name, t.Family)
		return err
	}) == nil
}

// replace makes the table as it has to be, in one transaction.
func (g *Guard) replace() error {
	g.broken, g.mute = true, nil
	err := g.transact(func(conn *nftables.Conn) error {
		return errors.Join(build(conn, g.opts, g.held), conn.Flush())
	})
	if err == nil {
		g.broken, g.room = false, roomFor(len(g.held))
		return nil
	}
	mute := errors.Is(err, os.ErrDeadlineExceeded)
	err = explain(err)
	if mute {
		g.mute = err
	}
	return err
}

// Close removes the table. The Guard is of no use afterwards. A kernel that does
// not answer is not asked: the next Install replaces what is left.
func (g *Guard) Close() error {
	if g.mute != nil {
		return errors.Join(g.mute, g.disconnect())
	}
	return errors.Join(g.removeAll(), g.disconnect())
}

// Clear removes the table that an earlier run may have left.
func Clear() error { return (&Guard{dial: dial}).Close() }

func (g *Guard) removeAll() error {
	return errors.Join(g.remove(inetTable()), g.remove(arpTable()))
}

// remove has a transaction of its own for each table: one that is not there
// ends it, and a kernel may know no ARP tables at all.
func (g *Guard) remove(t *nftables.Table) error {
	err := g.transact(func(conn *nftables.Conn) error {
		conn.DelTable(t)
		return conn.Flush()
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return explain(err)
	}
	return nil
}
