// Package guard keeps the kernel of our own host silent about claimed
// addresses. Their packets come to our MAC, so a host that forwards answers
// them with ICMP redirects and "host unreachable", and one that owns the
// address with RST. A table of nftables of our own drops them before the kernel
// looks at them; packet sockets have seen them by then. ARP is another family,
// and solicitations go to multicast addresses: neither is touched, nor is any
// other table.
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
	conn       *nftables.Conn
	interfaces []string
	held       map[netip.Addr]bool
	broken     bool // the kernel may hold something else than held
}

// Install puts the table into the network namespace of the calling thread, in
// one transaction, and in place of what an earlier run may have left. Packets
// that come in on one of the interfaces are dropped for the addresses held;
// there are none at first. The error names the remedy.
func Install(interfaces []string) (*Guard, error) {
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return c.SetWriteBuffer(sendBuffer)
	}))
	if err != nil {
		return nil, explain(err)
	}
	return install(conn, interfaces)
}

func install(conn *nftables.Conn, interfaces []string) (*Guard, error) {
	g := &Guard{conn: conn, interfaces: interfaces, held: make(map[netip.Addr]bool)}
	if err := g.replace(); err != nil {
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
	return g.change(g.conn.SetAddElements, added)
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
	return g.change(g.conn.SetDeleteElements, gone)
}

// change alters the sets, all of it or nothing. Where that fails, somebody has
// changed our table: then it is made anew.
func (g *Guard) change(alter func(*nftables.Set, []nftables.SetElement) error, addrs []netip.Addr) error {
	if len(addrs) == 0 && !g.broken {
		return nil
	}
	if !g.broken && errors.Join(each(alter, addrs), g.conn.Flush()) == nil {
		return nil
	}
	return g.replace()
}

// Check looks whether the table is still there, and puts it back where it is
// not: reloading a firewall's rules often begins with deleting all tables.
func (g *Guard) Check() error {
	if !g.broken {
		if _, err := g.conn.ListTableOfFamily(table().Name, table().Family); err == nil {
			return nil
		}
	}
	return g.replace()
}

// replace makes the table as it has to be, in one transaction.
func (g *Guard) replace() error {
	g.broken = true
	if err := errors.Join(build(g.conn, g.interfaces, g.held), g.conn.Flush()); err != nil {
		return explain(err)
	}
	g.broken = false
	return nil
}

// Close removes the table. The Guard is of no use afterwards.
func (g *Guard) Close() error { return errors.Join(remove(g.conn), g.conn.CloseLasting()) }

// Clear removes the table that an earlier run may have left.
func Clear() error {
	conn, err := nftables.New()
	if err != nil {
		return explain(err)
	}
	return remove(conn)
}

func remove(conn *nftables.Conn) error {
	conn.DelTable(table())
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
	remedy := "the kernel needs nf_tables with the inet family: modprobe nf_tables"
	if errors.Is(err, unix.EPERM) {
		remedy = "needs CAP_NET_ADMIN: run as root, or: setcap cap_net_raw,cap_net_admin=ep " + executable()
	}
	return fmt.Errorf("nftables table inet %s: %w: %s", table().Name, err, remedy)
}

func executable() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return "nightporter"
}
