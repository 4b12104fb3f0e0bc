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
	"fmt"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// sendBuffer holds the largest transaction in octets: every address of as many
// machines as can be configured.
const sendBuffer = 4 << 20

// Guard is the table in the kernel. Its methods are not for several goroutines
// at once.
type Guard struct {
	conn   *nftables.Conn
	opts   Options
	held   map[netip.Addr]bool
	broken bool // the kernel may hold something else than held
	room   int  // for how many addresses the table was made
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
func Install(o Options) (*Guard, error) {
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return c.SetWriteBuffer(sendBuffer)
	}))
	if err != nil {
		return nil, explain(err)
	}
	return install(conn, o)
}

func install(conn *nftables.Conn, o Options) (*Guard, error) {
	g := &Guard{conn: conn, opts: o, held: make(map[netip.Addr]bool)}
	err := g.replace()
	if err == nil && !o.Bound {
		err = remove(conn, arpTable()) // an earlier run was bound
	}
	if err != nil {
		return nil, errors.Join(err, conn.CloseLasting())
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
	return g.change(g.conn.SetAddElements, added, tails(added, nil))
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
	return g.change(g.conn.SetDeleteElements, gone, tails(gone, g.held))
}

// change alters the sets, all of it or nothing. Where that fails, somebody has
// changed our table: then it is made anew, as it is where there is no room.
func (g *Guard) change(alter func(*nftables.Set, []nftables.SetElement) error, addrs []netip.Addr, tails []nftables.SetElement) error {
	if len(addrs) == 0 && !g.broken {
		return nil
	}
	if !g.broken && len(g.held) <= g.room && errors.Join(each(g.opts.Bound, alter, addrs, tails), g.conn.Flush()) == nil {
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
	_, err := g.conn.ListTableOfFamily(t.Name, t.Family)
	return err == nil
}

// replace makes the table as it has to be, in one transaction.
func (g *Guard) replace() error {
	g.broken = true
	if err := errors.Join(build(g.conn, g.opts, g.held), g.conn.Flush()); err != nil {
		return explain(err)
	}
	g.broken, g.room = false, roomFor(len(g.held))
	return nil
}

// Close removes the table. The Guard is of no use afterwards.
func (g *Guard) Close() error { return errors.Join(removeAll(g.conn), g.conn.CloseLasting()) }

// Clear removes the table that an earlier run may have left.
func Clear() error {
	conn, err := nftables.New()
	if err != nil {
		return explain(err)
	}
	return removeAll(conn)
}

func removeAll(conn *nftables.Conn) error {
	return errors.Join(remove(conn, inetTable()), remove(conn, arpTable()))
}

// remove has a transaction of its own for each table: one that is not there
// ends it, and a kernel may know no ARP tables at all.
func remove(conn *nftables.Conn, t *nftables.Table) error {
	conn.DelTable(t)
	if err := conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return explain(err)
	}
	return nil
}

// explain says what was tried and what helps. Each message of a transaction may
// have an error of its own; the first tells the cause.
func explain(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	remedy := "the kernel needs nf_tables with the inet family, in bind mode the arp family too: modprobe nf_tables"
	if errors.Is(err, unix.EPERM) {
		remedy = "needs CAP_NET_ADMIN: run as root, or: setcap cap_net_raw,cap_net_admin=ep " + executable()
	}
	return fmt.Errorf("nftables table inet %s: %w: %s", tableName, err, remedy)
}

func executable() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return "nightporter"
}
