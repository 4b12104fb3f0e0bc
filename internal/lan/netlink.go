package lan

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// answerTime is how long the kernel may take for each answer. It answers during the
	// request, so a later answer is lost.
	answerTime = 2 * time.Second

	// dumpTries is how many times a table is read if it changes meanwhile.
	dumpTries = 10
)

// errInterrupted reports that a table changed while it was read (NLM_F_DUMP_INTR of
// linux/netlink.h), so that entries may be missing.
var errInterrupted = errors.New("the table changes faster than it can be read")

// rtnl is a connection to the kernel for links, addresses, routes and neighbors
// (rtnetlink(7)). It is unusable after a failure, because a late answer could be mistaken
// for that to another request.
type rtnl struct {
	conn   *netlink.Conn
	broken error
}

// withNetlink runs f with a connection of its own, in the network namespace of the
// calling thread.
func withNetlink(f func(*rtnl) error) error {
	return converse(func() (*netlink.Conn, error) { return netlink.Dial(unix.NETLINK_ROUTE, nil) }, f)
}

func converse(dial func() (*netlink.Conn, error), f func(*rtnl) error) error {
	conn, err := dial()
	if err != nil {
		return fmt.Errorf("route netlink: %w", err)
	}
	return errors.Join(f(&rtnl{conn: conn}), conn.Close())
}

// execute sends a request and returns the answers.
func (c *rtnl) execute(kind uint16, flags netlink.HeaderFlags, body encoding.BinaryMarshaler) ([]netlink.Message, error) {
	if c.broken != nil {
		return nil, c.broken
	}
	data, err := body.MarshalBinary()
	if err != nil {
		return nil, err
	}
	var answers []netlink.Message
	if err = c.conn.SetDeadline(time.Now().Add(answerTime)); err == nil {
		answers, err = c.conn.Execute(netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | flags}, Data: data,
		})
	}
	if err != nil && !refused(err) {
		c.broken = err
	}
	return answers, err
}

// refused reports whether an error is the answer of the kernel, as opposed to one of the
// socket.
func refused(err error) bool {
	var op *netlink.OpError
	if !errors.As(err, &op) {
		return false
	}
	_, ok := op.Err.(syscall.Errno) // an error of the socket is an os.SyscallError
	return ok
}

// change sends a request that changes something.
func (c *rtnl) change(kind uint16, flags netlink.HeaderFlags, body encoding.BinaryMarshaler) error {
	_, err := c.execute(kind, netlink.Acknowledge|flags, body)
	return err
}

// get requests one entry, whose message has the type answer.
func (c *rtnl) get(kind, answer uint16, body encoding.BinaryMarshaler) ([]byte, error) {
	found, err := c.execute(kind, 0, body)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 || found[0].Header.Type != netlink.HeaderType(answer) {
		return nil, fmt.Errorf("found %d answers, expected one of type %d", len(found), answer)
	}
	return found[0].Data, nil
}

// dump reads a whole table, whose entries have messages of the type answer.
func (c *rtnl) dump(kind, answer uint16, body encoding.BinaryMarshaler) (entries [][]byte, err error) {
	for range dumpTries {
		if entries, err = c.dumpOnce(kind, answer, body); !errors.Is(err, errInterrupted) {
			break
		}
	}
	return entries, err
}

func (c *rtnl) dumpOnce(kind, answer uint16, body encoding.BinaryMarshaler) ([][]byte, error) {
	found, err := c.execute(kind, netlink.Dump, body)
	if err != nil {
		return nil, err
	}
	entries := make([][]byte, len(found))
	for i, m := range found {
		switch {
		case m.Header.Flags&netlink.DumpInterrupted != 0:
			return nil, errInterrupted
		case m.Header.Type != netlink.HeaderType(answer):
			return nil, fmt.Errorf("found a message of type %d, expected %d", m.Header.Type, answer)
		}
		entries[i] = m.Data
	}
	return entries, nil
}

// decode parses each entry as a message of rtnetlink.
func decode[M any, P interface {
	*M
	encoding.BinaryUnmarshaler
}](entries [][]byte, err error) ([]M, error) {
	if err != nil {
		return nil, err
	}
	all := make([]M, len(entries))
	for i, b := range entries {
		if err := P(&all[i]).UnmarshalBinary(b); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// addresses returns the addresses of all interfaces.
func (c *rtnl) addresses() ([]rtnetlink.AddressMessage, error) {
	all, err := decode[rtnetlink.AddressMessage](c.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, &rtnetlink.AddressMessage{}))
	if err != nil {
		return nil, fmt.Errorf("addresses: %w", err)
	}
	return all, nil
}

func (c *rtnl) neighbors() ([]rtnetlink.NeighMessage, error) {
	all, err := decode[rtnetlink.NeighMessage](c.dump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, &rtnetlink.NeighMessage{}))
	if err != nil {
		return nil, fmt.Errorf("neighbor table: %w", err)
	}
	return all, nil
}

// link returns the interface with an index, or with a name if the index is 0, and the
// type of its link. If there is none the error is ErrNoInterface.
func (c *rtnl) link(index int, name string) (*net.Interface, uint16, error) {
	if len(name) >= unix.IFNAMSIZ {
		return nil, 0, fmt.Errorf("link: %w", ErrNoInterface)
	}
	data, err := c.get(unix.RTM_GETLINK, unix.RTM_NEWLINK, linkQuery{index, name})
	if errors.Is(err, unix.ENODEV) {
		err = ErrNoInterface
	}
	if err != nil {
		return nil, 0, fmt.Errorf("link: %w", err)
	}
	link, kind, err := parseLink(data)
	if err == nil && name != "" && link.Name != name {
		err = fmt.Errorf("link: %w: %q is another name of %s", ErrNoInterface, name, link.Name)
	}
	return link, kind, err
}

// linkQuery requests a link by its index or its name, or all links without both.
type linkQuery struct {
	index int
	name  string
}

// MarshalBinary returns a struct ifinfomsg and, for a name, an attribute.
func (q linkQuery) MarshalBinary() ([]byte, error) {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(q.index))
	if q.name == "" {
		return b, nil
	}
	attr, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.IFLA_IFNAME, Data: append([]byte(q.name), 0)}})
	return append(b, attr...), err
}

// parseLink parses a struct ifinfomsg and its attributes. It returns the type of the link
// too (unix.ARPHRD_*).
func parseLink(data []byte) (*net.Interface, uint16, error) {
	if len(data) < unix.SizeofIfInfomsg {
		return nil, 0, fmt.Errorf("link: found an answer of %d octets, expected %d at least", len(data), unix.SizeofIfInfomsg)
	}
	link := &net.Interface{Index: word(data[4:])}
	flags := word(data[8:])
	if flags&unix.IFF_UP != 0 {
		link.Flags |= net.FlagUp
	}
	if flags&unix.IFF_RUNNING != 0 {
		link.Flags |= net.FlagRunning
	}
	if flags&unix.IFF_LOOPBACK != 0 {
		link.Flags |= net.FlagLoopback
	}
	attributes, err := netlink.NewAttributeDecoder(data[unix.SizeofIfInfomsg:])
	if err != nil {
		return nil, 0, fmt.Errorf("link %d: %w", link.Index, err)
	}
	for attributes.Next() {
		switch attributes.Type() {
		case unix.IFLA_IFNAME:
			link.Name = attributes.String()
		case unix.IFLA_ADDRESS:
			link.HardwareAddr = attributes.Bytes()
		case unix.IFLA_MTU:
			link.MTU = int(attributes.Uint32())
		}
	}
	if err := attributes.Err(); err != nil {
		return nil, 0, fmt.Errorf("link %d: %w", link.Index, err)
	}
	return link, binary.NativeEndian.Uint16(data[2:]), nil
}
