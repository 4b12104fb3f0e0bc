package lan

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// kernel is the other end of a netlink socket. It answers what a test says; where
// that is nothing, a request waits until its deadline.
type kernel struct {
	answer func(req netlink.Message) ([]netlink.Message, error)

	deadline time.Time
	answers  []netlink.Message
	err      error
	asked    []netlink.HeaderType
	closed   int
}

func (k *kernel) Send(m netlink.Message) error {
	k.asked = append(k.asked, m.Header.Type)
	k.answers, k.err = k.answer(m)
	for i := range k.answers {
		k.answers[i].Header.Sequence, k.answers[i].Header.PID = m.Header.Sequence, m.Header.PID
	}
	return nil
}

func (k *kernel) SendMessages([]netlink.Message) error { return errors.ErrUnsupported }

func (k *kernel) Receive() ([]netlink.Message, error) {
	if k.err == nil && k.answers == nil {
		if k.deadline.IsZero() {
			return nil, errors.New("this would be waited for for ever")
		}
		time.Sleep(time.Until(k.deadline))
		return nil, os.ErrDeadlineExceeded
	}
	return k.answers, k.err
}

func (k *kernel) SetDeadline(at time.Time) error   { k.deadline = at; return nil }
func (k *kernel) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (k *kernel) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
func (k *kernel) Close() error                     { k.closed++; return nil }

func (k *kernel) converse(f func(*rtnl) error) error {
	return converse(func() (*netlink.Conn, error) { return netlink.NewConn(k, 1), nil }, f)
}

// table is the answer to the question for a whole table.
func table(kind netlink.HeaderType, flags netlink.HeaderFlags, entries ...[]byte) []netlink.Message {
	var all []netlink.Message
	for _, b := range entries {
		all = append(all, netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Multi | flags}, Data: b})
	}
	return append(all, netlink.Message{Header: netlink.Header{Type: netlink.Done, Flags: netlink.Multi}, Data: make([]byte, 4)})
}

// errorNumber is an answer that is an error, or with 0 an acknowledgement.
func errorNumber(errno unix.Errno) []netlink.Message {
	data := make([]byte, 4+unix.SizeofNlMsghdr)
	binary.NativeEndian.PutUint32(data, uint32(-int32(errno)))
	return []netlink.Message{{Header: netlink.Header{Type: netlink.Error}, Data: data}}
}

func marshalled(t testing.TB, m rtnetlink.Message) []byte {
	t.Helper()
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// linkEntry is a link as the kernel tells of one.
func linkEntry(t testing.TB, index uint32, name string) []byte {
	return marshalled(t, &rtnetlink.LinkMessage{
		Type: unix.ARPHRD_ETHER, Index: index, Flags: unix.IFF_UP | unix.IFF_RUNNING,
		Attributes: &rtnetlink.LinkAttributes{Name: name, MTU: 1500, Address: net.HardwareAddr{2, 0, 0, 0, 0, 1}},
	})
}

func addrEntry(t testing.TB, index uint32, prefix string) []byte {
	p := netip.MustParsePrefix(prefix)
	return marshalled(t, &rtnetlink.AddressMessage{
		Family: family(p.Addr()), PrefixLength: uint8(p.Bits()), Index: index,
		Attributes: &rtnetlink.AddressAttributes{Address: p.Addr().AsSlice(), Local: p.Addr().AsSlice()},
	})
}

// host is a kernel with one interface and one address. What spoil answers goes
// before that.
func host(t testing.TB, spoil func(kind netlink.HeaderType) ([]netlink.Message, error)) *kernel {
	return &kernel{answer: func(req netlink.Message) ([]netlink.Message, error) {
		if spoil != nil {
			if answers, err := spoil(req.Header.Type); answers != nil || err != nil {
				return answers, err
			}
		}
		switch req.Header.Type {
		case unix.RTM_GETLINK:
			return []netlink.Message{{Header: netlink.Header{Type: unix.RTM_NEWLINK}, Data: linkEntry(t, 7, "eth0")}}, nil
		case unix.RTM_GETADDR:
			return table(unix.RTM_NEWADDR, 0, addrEntry(t, 7, "10.77.0.2/24")), nil
		case unix.RTM_GETROUTE, unix.RTM_GETNEIGH:
			return table(0, 0), nil
		}
		return errorNumber(0), nil
	}}
}

// calls are all that is asked of the kernel while the daemon runs.
var calls = map[string]func(*rtnl) error{
	"status":    func(c *rtnl) error { _, err := c.status("eth0"); return err },
	"network":   func(c *rtnl) error { _, err := c.network(7); return err },
	"usable":    func(c *rtnl) error { _, err := c.usable("eth0"); return err },
	"bind":      func(c *rtnl) error { return c.bind(7, []netip.Addr{netip.MustParseAddr("10.77.0.20")}) },
	"unbind":    func(c *rtnl) error { return c.unbind(7, []netip.Addr{netip.MustParseAddr("10.77.0.20")}) },
	"addresses": func(c *rtnl) error { _, err := c.addresses(); return err },
	"links":     func(c *rtnl) error { _, err := c.links(); return err },
	"neighbors": func(c *rtnl) error { _, err := c.neighbors(); return err },
	"pin": func(c *rtnl) error {
		return c.change(unix.RTM_NEWNEIGH, netlink.Create|netlink.Replace, neighborMessage(7, netip.MustParseAddr("10.77.0.20")))
	},
}

// TestFaultsOfNetlink: each question to the kernel ends, with an error that says
// what was wrong, however the kernel or the socket fails.
func TestFaultsOfNetlink(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			if err := host(t, nil).converse(call); err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			for _, errno := range []unix.Errno{unix.EPERM, unix.EBUSY, unix.ENODEV, unix.ENOBUFS} {
				for what, answer := range map[string]func() ([]netlink.Message, error){
					"refused": func() ([]netlink.Message, error) { return errorNumber(errno), nil },
					"socket":  func() ([]netlink.Message, error) { return nil, os.NewSyscallError("recvmsg", errno) },
				} {
					k := host(t, func(netlink.HeaderType) ([]netlink.Message, error) { return answer() })
					err := k.converse(call)
					if !errors.Is(err, errno) && !errors.Is(err, ErrNoInterface) {
						t.Errorf("%s, %v: error %v", what, errno, err)
					}
					if k.closed != 1 {
						t.Errorf("%s, %v: the socket was closed %d times", what, errno, k.closed)
					}
				}
			}
		})
	}
	if err := converse(func() (*netlink.Conn, error) { return nil, unix.EMFILE }, calls["status"]); !errors.Is(err, unix.EMFILE) {
		t.Errorf("no socket: error %v", err)
	}
}

// TestFaultNetlinkHangs: a kernel that does not answer is waited for so long, and
// asked nothing else.
func TestFaultNetlinkHangs(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				k := &kernel{answer: func(netlink.Message) ([]netlink.Message, error) { return nil, nil }}
				if err := k.converse(call); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("error %v", err)
				}
				if took := time.Since(start); took != answerTime || len(k.asked) != 1 {
					t.Errorf("it took %v and %d questions, want %v and one", took, len(k.asked), answerTime)
				}
			})
		})
	}
	// Nor with each of many addresses.
	var many []netip.Addr
	for ip := netip.MustParseAddr("10.77.1.0"); len(many) < 200; ip = ip.Next() {
		many = append(many, ip)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		k := host(t, nil)
		sane := k.answer
		k.answer = func(req netlink.Message) ([]netlink.Message, error) {
			if req.Header.Type == unix.RTM_NEWADDR {
				return nil, nil
			}
			return sane(req)
		}
		err := k.converse(func(c *rtnl) error { return c.bind(7, many) })
		took := time.Since(start)
		if !errors.Is(err, os.ErrDeadlineExceeded) || took != answerTime || strings.Contains(err.Error(), "\n") {
			t.Errorf("200 addresses took %v, error %v", took, err)
		}
	})
}

// An address that cannot be bound keeps no other from it.
func TestFaultOneAddressRefused(t *testing.T) {
	ips := []netip.Addr{netip.MustParseAddr("10.77.0.20"), netip.MustParseAddr("10.77.0.21"), netip.MustParseAddr("10.77.0.22")}
	for _, errno := range []unix.Errno{unix.EBUSY, unix.EEXIST} {
		added := 0
		k := host(t, func(kind netlink.HeaderType) ([]netlink.Message, error) {
			if kind != unix.RTM_NEWADDR {
				return nil, nil
			}
			if added++; added == 2 {
				return errorNumber(errno), nil
			}
			return errorNumber(0), nil
		})
		err := k.converse(func(c *rtnl) error { return c.bind(7, ips) })
		if added != 3 || (err == nil) != (errno == unix.EEXIST) || err != nil && !strings.Contains(err.Error(), "bind 10.77.0.21 to eth0: ") {
			t.Errorf("%v: %d of 3 addresses tried, error %v", errno, added, err)
		}
	}
}

// TestFaultInterruptedDump: a table that has changed while it was read is read
// once more, and given up when that goes on.
func TestFaultInterruptedDump(t *testing.T) {
	for _, times := range []int{0, 1, dumpTries - 1, dumpTries, dumpTries + 100} {
		dumps := 0
		k := &kernel{answer: func(netlink.Message) ([]netlink.Message, error) {
			if dumps++; dumps <= times {
				half := table(unix.RTM_NEWADDR, 0, addrEntry(t, 7, "10.77.0.2/24"))
				return slices.Concat(half[:1], table(unix.RTM_NEWADDR, netlink.DumpInterrupted, addrEntry(t, 8, "10.78.0.2/24"))), nil
			}
			return table(unix.RTM_NEWADDR, 0, addrEntry(t, 7, "10.77.0.2/24"), addrEntry(t, 8, "10.78.0.2/24"), addrEntry(t, 9, "10.79.0.2/24")), nil
		}}
		var got []rtnetlink.AddressMessage
		err := k.converse(func(c *rtnl) (err error) { got, err = c.addresses(); return err })
		if times < dumpTries && (err != nil || len(got) != 3) {
			t.Errorf("interrupted %d times: %d addresses, error %v", times, len(got), err)
		}
		if times >= dumpTries && (!errors.Is(err, errInterrupted) || got != nil || dumps != dumpTries) {
			t.Errorf("interrupted %d times: %d addresses after %d dumps, error %v", times, len(got), dumps, err)
		}
	}
}

// TestFaultGarbageAnswers: what is not an answer is an error, and no panic.
func TestFaultGarbageAnswers(t *testing.T) {
	for what, answers := range map[string][]netlink.Message{
		"of another kind": table(unix.RTM_NEWRULE, 0, make([]byte, 12)),
		"no operation":    table(netlink.Noop, 0, nil),
		"cut off":         table(unix.RTM_NEWADDR, 0, []byte{2}),
		"short error":     {{Header: netlink.Header{Type: netlink.Error}, Data: []byte{1}}},
		"attribute":       table(unix.RTM_NEWADDR, 0, append(make([]byte, unix.SizeofIfAddrmsg), 200, 0, 1, 0)),
		"of a link":       {{Header: netlink.Header{Type: unix.RTM_NEWLINK}, Data: []byte{1, 2, 3}}},
		"twice":           slices.Repeat([]netlink.Message{{Header: netlink.Header{Type: unix.RTM_NEWLINK}, Data: linkEntry(t, 7, "eth0")}}, 2),
		"another name":    {{Header: netlink.Header{Type: unix.RTM_NEWLINK}, Data: linkEntry(t, 7, "eth1")}},
	} {
		for _, name := range []string{"status", "bind", "neighbors"} {
			k := &kernel{answer: func(netlink.Message) ([]netlink.Message, error) { return slices.Clone(answers), nil }}
			if err := k.converse(calls[name]); err == nil {
				t.Errorf("%s: %s: no error", what, name)
			}
		}
	}
}

func TestLongName(t *testing.T) {
	for _, name := range []string{"a-name-of-sixteen", strings.Repeat("x", 5000)} {
		if _, err := ReadStatus(name); !errors.Is(err, ErrNoInterface) {
			t.Errorf("error %v", err)
		}
	}
}

// Prefixes that make no sense are left out.
func TestSenselessPrefix(t *testing.T) {
	ok := rtnetlink.AddressMessage{Index: 7, PrefixLength: 24, Attributes: &rtnetlink.AddressAttributes{Address: net.IPv4(10, 77, 0, 2).To4()}}
	bad := ok
	bad.PrefixLength = 33
	n := Network{Prefixes: prefixes([]rtnetlink.AddressMessage{bad, ok}, 7)}
	if diff := cmp.Diff([]netip.Prefix{netip.MustParsePrefix("10.77.0.2/24")}, n.Prefixes, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("prefixes (-want +got):\n%s", diff)
	}
	n.IsBroadcast(netip.MustParseAddr("10.77.0.9"))
}
