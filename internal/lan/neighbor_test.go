package lan_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jsimonetti/rtnetlink/v2"
	raw "github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/waittest"
)

func TestNeighborMAC(t *testing.T) {
	porter, _ := neighbors(t)
	i := porter.open("porter0")
	ask := func(index int, who netip.Addr) (mac ether.MAC, ok bool) {
		porter.do(func() (err error) {
			mac, ok, err = lan.NeighborMAC(index, who)
			return err
		})
		return mac, ok
	}
	if mac, ok := ask(i.Index(), client4); ok {
		t.Fatalf("%v is at %v before a request", client4, mac)
	}
	for _, who := range []netip.Addr{client4, ip("2001:db8::2")} {
		call(porter, who)
		waittest.Until(t, "an entry for "+who.String(), func() bool { _, ok := ask(i.Index(), who); return ok })
		if mac, _ := ask(i.Index(), who); mac != clientMAC {
			t.Errorf("%v is at %v, want %v", who, mac, clientMAC)
		}
		if mac, ok := ask(i.Index()+1000, who); ok {
			t.Errorf("%v is at %v on another interface", who, mac)
		}
	}
	// No host answers for this address: its entry stays unresolved.
	call(porter, sleepy4)
	if mac, ok := ask(i.Index(), sleepy4); ok {
		t.Errorf("%v is at %v, want no answer", sleepy4, mac)
	}
}

// index returns the number of an interface of the namespace.
func (n *namespace) index(name string) (index int) {
	n.tb.Helper()
	n.do(func() error {
		ifi, err := net.InterfaceByName(name)
		if err == nil {
			index = ifi.Index
		}
		return err
	})
	return index
}

// startConnecting has the kernel of a namespace send a SYN, and does not wait
// for an answer.
func (n *namespace) startConnecting(to netip.AddrPort) {
	n.tb.Helper()
	var where = unix.Sockaddr(&unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()})
	domain := unix.AF_INET6
	if to.Addr().Is4() {
		domain, where = unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	n.do(func() error {
		fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		n.tb.Cleanup(func() { _ = unix.Close(fd) })
		if err := unix.Connect(fd, where); !errors.Is(err, unix.EINPROGRESS) {
			return os.NewSyscallError("connect", err)
		}
		return nil
	})
}

// opening is a SYN as it was seen on the wire.
type opening struct {
	to  netip.Addr
	dst ether.MAC
}

// openings returns the SYNs that come out of a cable, to any destination.
func (n *namespace) openings(name string) <-chan opening {
	n.tb.Helper()
	var conn *raw.Conn
	n.do(func() error {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		conn, err = raw.Listen(ifi, raw.Raw, unix.ETH_P_ALL, nil)
		return err
	})
	ctx, cancel := context.WithCancel(context.Background())
	seen, ended := make(chan opening), make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 2048)
		for {
			size, _, err := conn.ReadFrom(buf)
			if err != nil {
				return // closed below
			}
			var p lan.Packet
			if p.Parse(buf[:size]) != lan.Accepted || !p.SYN() {
				continue
			}
			select {
			case seen <- opening{to: p.To, dst: ether.MAC(buf[:6])}:
			case <-ctx.Done():
				return
			}
		}
	}()
	n.tb.Cleanup(func() {
		cancel()
		_ = conn.SetReadDeadline(time.Unix(0, 1)) // ends the reader
		<-ended
		_ = conn.Close()
	})
	return seen
}

// state returns the state of an entry of the neighbor table, or 0.
func (n *namespace) state(index int, who netip.Addr) (state uint16) {
	n.tb.Helper()
	n.netlink(func(c *rtnetlink.Conn) error {
		all, err := c.Neigh.List()
		for _, m := range all {
			if ip, ok := netip.AddrFromSlice(m.Attributes.Address); ok && ip == who && int(m.Index) == index {
				state = m.State
			}
		}
		return err
	})
	return state
}

// TestPinnedNeighbor: what local programs send to a pinned address leaves at
// once, as frames to that MAC.
func TestPinnedNeighbor(t *testing.T) {
	porter, client := neighbors(t)
	index, seen := porter.index("porter0"), client.openings("client0")
	for _, who := range []netip.Addr{sleepy4, sleepy6} {
		porter.do(func() error { return lan.PinNeighbor(index, who, porterMAC) })
		if got := porter.state(index, who); got != unix.NUD_PERMANENT {
			t.Errorf("the entry of %v is in state %#x", who, got)
		}
		porter.startConnecting(netip.AddrPortFrom(who, 22))
		want := opening{to: who, dst: porterMAC}
		if got := receive(t, "the SYN", seen); got != want {
			t.Errorf("the SYN is %v, want %v", got, want)
		}
	}
}

// TestSetNeighbor: whatever the entry was, the next packet goes to the new MAC,
// and with it those that wait for an answer.
func TestSetNeighbor(t *testing.T) {
	porter, client := neighbors(t)
	index, seen := porter.index("porter0"), client.openings("client0")
	port := uint16(1)
	for _, before := range []struct {
		name    string
		state   uint16
		prepare func(who netip.Addr)
		waits   bool // a SYN
	}{
		{"no entry", 0, func(netip.Addr) {}, false},
		{"pinned", unix.NUD_PERMANENT, func(who netip.Addr) {
			porter.do(func() error { return lan.PinNeighbor(index, who, porterMAC) })
		}, false},
		{"stale", unix.NUD_STALE, func(who netip.Addr) {
			porter.do(func() error { return lan.SetNeighbor(index, who, porterMAC) })
		}, false},
		{"incomplete", unix.NUD_INCOMPLETE, func(who netip.Addr) {
			porter.startConnecting(netip.AddrPortFrom(who, port))
		}, true},
		{"failed", unix.NUD_FAILED, func(who netip.Addr) {
			for _, family := range []string{"ipv4", "ipv6"} {
				for name, value := range map[string]string{"mcast_solicit": "1", "retrans_time_ms": "10"} {
					porter.do(func() error {
						return os.WriteFile("/proc/sys/net/"+family+"/neigh/porter0/"+name, []byte(value), 0)
					})
				}
			}
			call(porter, who)
		}, false},
	} {
		for _, who := range []netip.Addr{sleepy4, sleepy6} {
			porter.do(func() error { return lan.DropNeighbor(index, who) })
			port++
			before.prepare(who)
			waittest.Until(t, before.name, func() bool { return porter.state(index, who) == before.state })
			porter.do(func() error { return lan.SetNeighbor(index, who, sleepyMAC) })
			if got := porter.state(index, who); got&(unix.NUD_STALE|unix.NUD_DELAY) == 0 {
				t.Errorf("%s: the entry of %v is in state %#x", before.name, who, got)
			}
			if !before.waits {
				porter.startConnecting(netip.AddrPortFrom(who, port))
			}
			want := opening{to: who, dst: sleepyMAC}
			if got := receive(t, "the SYN", seen); got != want {
				t.Errorf("%s: the SYN is %v, want %v", before.name, got, want)
			}
		}
	}
}

func TestDropNeighbor(t *testing.T) {
	porter, _ := neighbors(t)
	index := porter.index("porter0")
	for _, who := range []netip.Addr{sleepy4, sleepy6} {
		porter.do(func() error {
			return errors.Join(lan.PinNeighbor(index, who, sleepyMAC), lan.DropNeighbor(index, who), lan.DropNeighbor(index, who))
		})
		if got := porter.state(index, who); got&unix.NUD_PERMANENT != 0 {
			t.Errorf("the entry of %v is in state %#x", who, got)
		}
		porter.do(func() error {
			_, ok, err := lan.NeighborMAC(index, who)
			if ok {
				t.Errorf("%v is still known", who)
			}
			if err := lan.DropNeighbor(index+1000, who); err == nil {
				t.Error("no error for an interface that is not there")
			}
			return err
		})
	}
}

// TestPinnedNeighbors finds what a run that crashed has left.
func TestPinnedNeighbors(t *testing.T) {
	porter, _ := neighbors(t)
	index := porter.index("porter0")
	other := netip.MustParseAddr("192.168.7.4")
	porter.do(func() error {
		return errors.Join(
			lan.PinNeighbor(index, sleepy6, porterMAC), lan.PinNeighbor(index, sleepy4, porterMAC),
			lan.PinNeighbor(index, other, sleepyMAC), lan.SetNeighbor(index, client4, porterMAC),
		)
	})
	pinned := func(index int, mac ether.MAC) (found []netip.Addr) {
		porter.do(func() (err error) {
			found, err = lan.PinnedNeighbors(index, mac)
			return err
		})
		return found
	}
	for _, c := range []struct {
		index int
		mac   ether.MAC
		want  []netip.Addr
	}{
		{index, porterMAC, []netip.Addr{sleepy4, sleepy6}},
		{index, sleepyMAC, []netip.Addr{other}},
		{index, clientMAC, nil},
		{index + 1000, porterMAC, nil},
	} {
		if got := pinned(c.index, c.mac); !slices.Equal(got, c.want) {
			t.Errorf("pinned to %v on %d (-want +got):\n%s", c.mac, c.index, cmp.Diff(c.want, got, compareAddr))
		}
	}
}

// located is what Locate says in a namespace.
type located struct {
	mac    ether.MAC
	onLink bool
}

func (n *namespace) locate(who string) (l located) {
	n.tb.Helper()
	n.do(func() error {
		l.mac, l.onLink = lan.Locate(ip(who))
		return nil
	})
	return l
}

func TestLocate(t *testing.T) {
	porter, _ := neighbors(t)
	porter.setUp("lo", true)
	porter.route("porter0", netip.MustParsePrefix("203.0.113.0/24"), client4.String(), 0)
	porter.route("porter0", netip.MustParsePrefix("2001:db8:f::/48"), "2001:db8::2", 0)
	hosts := []string{client4.String(), "::ffff:" + client4.String(), "2001:db8::2", "fe80::2%porter0"}
	for _, who := range hosts {
		if got := porter.locate(who); got != (located{onLink: true}) {
			t.Errorf("%s is at %v before a packet was sent to it", who, got)
		}
	}
	for _, who := range hosts {
		call(porter, ip(who))
		waittest.Until(t, "an entry for "+who, func() bool { return porter.locate(who) == located{clientMAC, true} })
	}
	for who, want := range map[string]located{
		"203.0.113.7":      {},                             // behind a router whose MAC is known
		"2001:db8:f::7":    {},                             // likewise
		porter4.String():   {onLink: true},                 // our own
		"198.51.100.1":     {},                             // there is no way to it
		"fe80::2%nothing0": {},                             // likewise
		"127.0.0.9":        {onLink: true},                 // likewise
		"::1":              {onLink: true},                 // likewise
		sleepy4.String():   {onLink: true},                 // no packet was sent to it
		"2001:db8::dead":   {onLink: true},                 // likewise
		"fe80::2%porter0":  {mac: clientMAC, onLink: true}, // as before
	} {
		if got := porter.locate(who); got != want {
			t.Errorf("%s is at %v, want %v", who, got, want)
		}
	}
}

// An address that does not answer has an entry without a MAC.
func TestLocateWithoutAnAnswer(t *testing.T) {
	porter, _ := neighbors(t)
	call(porter, sleepy4)
	if got := porter.locate(sleepy4.String()); got != (located{onLink: true}) {
		t.Errorf("%v", got)
	}
}

func BenchmarkLocate(b *testing.B) {
	porter, _ := neighbors(b)
	call(porter, client4)
	porter.do(func() error {
		for b.Loop() {
			lan.Locate(client4)
		}
		return nil
	})
}
