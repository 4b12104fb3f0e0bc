package lan_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"

	"nightporter/internal/lan"
)

// openOutgoing opens the other side of an interface until the test ends.
func (n *namespace) openOutgoing(name string) *lan.Outgoing {
	n.tb.Helper()
	var o *lan.Outgoing
	n.do(func() (err error) {
		o, err = lan.OpenOutgoing(name, slog.New(slog.DiscardHandler))
		return err
	})
	n.tb.Cleanup(func() { _ = o.Close() }) // some tests close it themselves
	return o
}

// watched is a porter whose own packets are watched.
type watched struct {
	tb             testing.TB
	porter, client *namespace
	out            *lan.Outgoing
	seen           chan lan.Packet
}

func newWatched(tb testing.TB) *watched {
	porter, client := neighbors(tb)
	w := &watched{tb: tb, porter: porter, client: client, out: porter.openOutgoing("porter0"), seen: make(chan lan.Packet, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.out.Run(ctx, func(p *lan.Packet) { w.seen <- *p }) }()
	tb.Cleanup(func() {
		cancel()
		if err := receive(tb, "the end of the reader", ended); err != nil && !errors.Is(err, net.ErrClosed) {
			tb.Error(err)
		}
	})
	return w
}

// datagram lets a local program of n send one.
func datagram(n *namespace, to netip.Addr, port uint16) {
	n.tb.Helper()
	n.do(func() error {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, port)))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("from a local program"))
		return err
	})
}

// until returns what was seen before the datagram that is sent last, to the port
// for that, as "kind from to port".
func (w *watched) until(to netip.Addr) []string {
	w.tb.Helper()
	const last = 4242
	datagram(w.porter, to, last)
	var got []string
	for {
		p := receive(w.tb, "the last datagram", w.seen)
		if p.ToPort == last {
			return got
		}
		got = append(got, fmt.Sprintf("%v %v > %v %d", p.Kind, p.From, p.To, p.ToPort))
	}
}

func TestOutgoing(t *testing.T) {
	w := newWatched(t)
	i, client := w.porter.open("porter0"), w.client.open("client0")
	speak := func() {
		for _, ip := range []netip.Addr{client4, clientGlobal6} { // comes in, for an address that is watched
			if err := client.Send(to(ip)); err != nil {
				t.Fatal(err)
			}
		}
		for _, ip := range []netip.Addr{client4, clientGlobal6} {
			datagram(w.porter, ip, 7) // after ARP and neighbor discovery, which the filter drops
			datagram(w.client, map[bool]netip.Addr{true: porter4, false: porterGlobal6}[ip.Is4()], 8)
		}
		// What an Interface sends looks the same, but for its mark.
		for _, c := range []struct{ from, to netip.Addr }{{porter4, client4}, {porterGlobal6, clientGlobal6}} {
			frame, err := lan.SYNProbe(porterMAC, clientMAC, netip.AddrPortFrom(c.from, 61000), netip.AddrPortFrom(c.to, 9), 1)
			if err := errors.Join(err, i.Send(frame)); err != nil {
				t.Fatal(err)
			}
		}
	}
	ours4, ours6 := "udp 192.168.7.1 > 192.168.7.2 7", "udp 2001:db8::1 > 2001:db8::2 7"
	for _, c := range []struct {
		name  string
		addrs []netip.Addr
		last  netip.Addr
		want  []string
	}{
		{"one address", []netip.Addr{client4}, client4, []string{ours4}},
		{"the other family", []netip.Addr{clientGlobal6}, clientGlobal6, []string{ours6}},
		{"both", []netip.Addr{clientGlobal6, client4}, client4, []string{ours4, ours6}},
		{"a crowd", append(crowd(1000).Addrs, client4), client4, []string{ours4}},
		{"not among them", crowd(1000).Addrs, netip.Addr{}, nil},
		{"none", nil, netip.Addr{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := w.out.SetAddrs(c.addrs); err != nil {
				t.Fatal(err)
			}
			speak()
			last := c.last
			if !last.IsValid() { // another filter lets the last one through, and nothing from before it
				last = client4
				if err := w.out.SetAddrs([]netip.Addr{last}); err != nil {
					t.Fatal(err)
				}
			}
			got := w.until(last)
			// The kernel answers the client's datagrams with port unreachable.
			got = dropKind(got, lan.PortUnreachable, lan.NeighborAdvertisement, lan.NeighborSolicitation)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("packets (-want +got):\n%s", diff)
			}
		})
	}
}

func dropKind(lines []string, kinds ...lan.Kind) []string {
	var rest []string
	for _, line := range lines {
		drop := false
		for _, k := range kinds {
			drop = drop || strings.HasPrefix(line, k.String()+" ")
		}
		if !drop {
			rest = append(rest, line)
		}
	}
	return rest
}

// A connection attempt of a local program is seen with what a handover needs of it.
func TestOutgoingSYN(t *testing.T) {
	w := newWatched(t)
	listener := w.client.listen(client4)
	to := netip.AddrPortFrom(client4, portOf(listener.Addr()))
	if err := w.out.SetAddrs([]netip.Addr{client4}); err != nil {
		t.Fatal(err)
	}
	if err := w.porter.dial(to).Close(); err != nil {
		t.Fatal(err)
	}
	p := receive(t, "the syn", w.seen)
	if !p.SYN() || p.From != porter4 || p.To != client4 || p.ToPort != to.Port() || p.Src != porterMAC || p.Dst != clientMAC || p.Time.IsZero() {
		t.Errorf("got %+v, want the syn", p)
	}
}

func TestOutgoingCloses(t *testing.T) {
	porter, _ := neighbors(t)
	o := porter.openOutgoing("porter0")
	ended := make(chan error, 1)
	go func() { ended <- o.Run(t.Context(), func(*lan.Packet) {}) }()
	if o.Name() != "porter0" || o.Index() <= 0 {
		t.Errorf("%q, index %d", o.Name(), o.Index())
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"run": receive(t, "the end of Run", ended), "set": o.SetAddrs(nil), "close": o.Close(),
	} {
		if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "interface porter0") {
			t.Errorf("%s: error %v, want one that the interface is closed", what, err)
		}
	}
	porter.do(func() error {
		if _, err := lan.OpenOutgoing("eth7", nil); err == nil || !strings.Contains(err.Error(), `interface "eth7"`) {
			t.Errorf("error %v, want one about eth7", err)
		}
		return nil
	})
}

// TestOutgoingFilterIsTheRule runs the part of the filter that a VM can run.
func TestOutgoingFilterIsTheRule(t *testing.T) {
	for _, limit := range []int{4096, 12} {
		code, whole := lan.OutgoingBody([]netip.Addr{client4, sleepy6}, limit)
		if want := limit == 4096; whole != want {
			t.Fatalf("limit %d: whole is %v, want %v", limit, whole, want)
		}
		vm, err := bpf.NewVM(code)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name   string
			frame  []byte
			want   bool
			coarse bool
		}{
			{"to one of them", to(client4), true, true},
			{"to the other", to(sleepy6), true, true},
			{"to another IPv4 address", to(sleepy4), false, true},
			{"to another IPv6 address", to(client6), false, true},
			{"arp", ethernetFrame(0x0806, arpBody(1)...), false, false},
			{"lldp", ethernetFrame(0x88cc, 1, 2, 3), false, false},
			{"a tag", tagged(to(client4), 0), false, false},
			{"a solicitation for the group", question().frame(t), false, true},
		} {
			want := c.want
			if !whole {
				want = c.coarse
			}
			if got := passes(t, vm, c.frame); got != want {
				t.Errorf("limit %d: %s passes: %v, want %v", limit, c.name, got, want)
			}
		}
	}
}
