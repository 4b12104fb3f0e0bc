package guard

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
)

// layouts are all that a guard may be like.
var layouts = []struct {
	name      string
	opts      Options
	noIngress bool
}{
	{"responder", options, false},
	{"bound", bound, false},
	{"responder without ingress", options, true},
	{"bound without ingress", bound, true},
}

// lay installs a guard of a layout.
func (p *post) lay(o Options, noIngress bool) *Guard {
	p.Helper()
	dial := p.dial
	if noIngress {
		dial = p.withoutNetdev(unix.EOPNOTSUPP)
	}
	g, err := install(dial, o)
	p.must(err)
	p.Cleanup(func() { _ = g.Close() })
	return g
}

// wantWays: the kernel has these, and the last four bytes of their clients.
func (p *post) wantWays(want ...Flow) {
	p.Helper()
	var wantWays, wantClients, ways, clients []string
	for _, w := range want {
		wantWays = append(wantWays, fmt.Sprintf("%x", w.key()))
		wantClients = append(wantClients, fmt.Sprintf("%x", suffixOf(w.To)))
	}
	for _, s := range p.sets() {
		into := &ways
		switch kind, _, _ := strings.Cut(s.Name, "_"); kind {
		case "clients":
			into = &clients
		case "ways4", "ways6":
		default:
			continue
		}
		elements, err := p.conn.GetSetElements(s)
		p.must(err)
		for _, e := range elements {
			*into = append(*into, fmt.Sprintf("%x", e.Key))
		}
	}
	for _, all := range []*[]string{&wantWays, &wantClients, &ways, &clients} {
		slices.Sort(*all)
	}
	if diff := cmp.Diff(wantWays, ways); diff != "" {
		p.Errorf("ways in the kernel (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(slices.Compact(wantClients), clients); diff != "" {
		p.Errorf("clients in the kernel (-want +got):\n%s", diff)
	}
}

// What is diverted is kept like what is held, whatever becomes of the tables.
func TestDivertAndUndivert(t *testing.T) {
	client4, client6 := netip.MustParseAddr("10.77.0.10"), netip.MustParseAddr("fd77::10")
	alike6 := netip.MustParseAddr("fd77::a4d:a") // the last bytes of client4
	way4, way6, wayTV, wayAlike := Flow{nas4, client4}, Flow{nas6, client6}, Flow{tv4, client4}, Flow{nas6, alike6}
	for _, layout := range layouts {
		t.Run(layout.name, func(t *testing.T) {
			p := newHost(t)
			g := p.lay(layout.opts, layout.noIngress)
			p.must(g.Divert(lab.Interface, way4, way6))
			p.wantWays(way4, way6)
			p.must(g.Divert(lab.Interface, way6, wayTV, wayAlike)) // one of them again
			p.wantWays(way4, way6, wayTV, wayAlike)
			p.must(g.Undivert(lab.Interface, way4, way4))
			p.must(g.Undivert(lab.Interface, way4))
			p.wantWays(way6, wayTV, wayAlike)
			p.must(g.Hold(lab.Interface, nas4, nas6))
			p.must(g.Attach(lab.Interface))
			p.wantWays(way6, wayTV, wayAlike)
			p.conn.FlushRuleset()
			p.must(p.conn.Flush())
			p.must(g.Check())
			p.wantWays(way6, wayTV, wayAlike)
			p.wantAddrs(nas4, nas6)
			p.conn.FlushRuleset()
			p.must(p.conn.Flush())
			p.must(g.Divert(lab.Interface, way4))
			p.wantWays(way4, way6, wayTV, wayAlike)
			p.must(g.Undivert(lab.Interface, wayTV, wayAlike, way4, way6))
			p.wantWays()
			p.wantAddrs(nas4, nas6)
		})
	}
}

// Where the same is diverted on two interfaces, one of them may end it.
func TestDivertedOnTwoInterfaces(t *testing.T) {
	way := Flow{nas4, tv4}
	p := newHost(t)
	g := p.install(bound) // which has one place for both
	p.must(g.Divert(lab.Interface, way))
	p.must(g.Divert("wlan-fifteen-ch", way))
	p.wantWays(way)
	p.must(g.Undivert(lab.Interface, way))
	p.wantWays(way)
	p.must(g.Undivert("wlan-fifteen-ch", way))
	p.wantWays()
}

// More ways than the tables have room for make them grow.
func TestThousandsOfWays(t *testing.T) {
	p := newPost(t)
	var all []Flow
	for i := range 3000 {
		to4, to6 := nas4.As4(), nas6.As16()
		binary.BigEndian.PutUint16(to4[2:], uint16(i))
		binary.BigEndian.PutUint16(to6[12:], uint16(i))
		all = append(all, Flow{nas4, netip.AddrFrom4(to4)}, Flow{nas6, netip.AddrFrom16(to6)})
	}
	p.must(p.g.Divert(lab.Interface, all...))
	p.wantWays(all...)
	p.must(p.g.Undivert(lab.Interface, all[1:]...))
	p.wantWays(all[0])
}

// TestDivertedIsNotForwarded: of what comes from the machine our kernel forwards all
// but what is diverted.
func TestDivertedIsNotForwarded(t *testing.T) {
	for _, layout := range layouts {
		t.Run(layout.name, func(t *testing.T) {
			p := newHost(t)
			for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
				p.must(p.host.Sysctl(name, "1"))
			}
			g := p.lay(layout.opts, layout.noIngress)
			nas, err := p.lan.AddHost("nas", netip.PrefixFrom(nas4, 24), netip.PrefixFrom(nas6, 64))
			p.must(err)
			client := p.lan.Client()
			ways := []Flow{{nas4, client.Addr4()}, {nas6, client.Addr6()}}
			arrivals := p.forwarded(nas, client)
			arrivals(1, true, ways...)
			p.must(g.Divert("wlan-fifteen-ch", ways...))
			arrivals(2, !layout.opts.Bound && !layout.noIngress, ways...) // those have one place for all interfaces
			p.must(g.Undivert("wlan-fifteen-ch", ways...))
			p.must(g.Divert(lab.Interface, ways...))
			arrivals(3, false, ways...)
			arrivals(4, true, Flow{tv4, client.Addr4()}, Flow{netip.MustParseAddr("fd77::30"), client.Addr6()})
			p.must(g.Undivert(lab.Interface, ways...))
			arrivals(5, true, ways...)
		})
	}
}

// forwarded returns a function that has from send a packet to a port by each way, with
// the porter for a router, and expects that they arrive at client, or not.
func (p *post) forwarded(from, client *lab.Host) func(port uint16, arrive bool, ways ...Flow) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	p.Cleanup(cancel)
	capture, err := client.Capture(ctx)
	p.must(err)
	p.Cleanup(func() { capture.Close() })
	send := func(port uint16, w Flow) {
		p.Helper()
		syn, err := lan.SYNProbe(from.MAC(), p.host.MAC(), netip.AddrPortFrom(w.From, 4000), netip.AddrPortFrom(w.To, port), 1)
		p.must(err)
		p.must(from.SendFrame(syn))
	}
	came := func(port uint16, w Flow) func(lab.Frame) bool {
		return func(f lab.Frame) bool {
			var got lan.Packet
			return !f.Outgoing && got.Parse(f.Data) == lan.Accepted && got.From == w.From && got.To == w.To && got.ToPort == port
		}
	}
	return func(port uint16, arrive bool, ways ...Flow) {
		p.Helper()
		for _, w := range ways {
			// What is sent later and arrives shows that the earlier did not.
			free := Flow{netip.MustParseAddr("10.77.0.40"), w.To}
			if w.To.Is6() {
				free.From = netip.MustParseAddr("fd77::40")
			}
			send(port, w)
			send(port, free)
			_, err := capture.Wait(ctx, came(port, free))
			p.must(err)
			if got := slices.ContainsFunc(capture.Frames(), came(port, w)); got != arrive {
				p.Errorf("packet %d by %v arrived: %t, want %t", port, w, got, arrive)
			}
		}
	}
}
