package guard

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
)

// In these tests the kernel of the porter's host owns addresses that a guard in
// responder mode holds, so that it says whether their packets reach it.

// silence and speech are what comes of a connection to a service of the host.
const (
	silence = "silence"
	speech  = "connected"
)

// owning starts a host that owns the addresses and has a service on all of them.
func owning(t *testing.T) *post {
	p := newHost(t)
	p.open()
	p.bindAddresses()
	p.g = p.install(options)
	return p
}

// reach has the client connect to the addresses, and expects what comes of it.
func (p *post) reach(want string, ips ...netip.Addr) {
	p.Helper()
	client := p.lan.Client()
	p.must(client.Do(func() error {
		for _, ip := range []netip.Addr{nas4, nas6} {
			if err := lan.PinNeighbor(p.index(), ip, p.host.MAC()); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, ip := range ips {
		a, wait := p.attempt(client, ip.String(), ip, ownPort), 5*time.Second
		if want == silence {
			// What comes later and is answered shows that the earlier was not.
			if got := p.outcome(p.attempt(client, "own", p.host.Addr4(), ownPort), wait); got != "own: connected" {
				p.Errorf("the host's own address: %s", got)
			}
			wait = 0
		}
		if got := p.outcome(a, wait); got != a.name+": "+want {
			p.Errorf("%s, want %s", got, want)
		}
	}
}

// TestOnlyWhereClaimed: an address is claimed on one interface, and what comes in on
// another goes its way.
func TestOnlyWhereClaimed(t *testing.T) {
	p := owning(t)
	p.must(p.g.Hold("wlan-fifteen-ch", nas4, nas6))
	p.reach(speech, nas4, nas6)
	p.must(p.g.Hold(lab.Interface, nas4, nas6))
	p.reach(silence, nas4, nas6)
	p.must(p.g.Release("wlan-fifteen-ch", nas4, nas6))
	p.reach(silence, nas4, nas6)
	p.must(p.g.Release(lab.Interface, nas4))
	p.reach(speech, nas4)
	p.reach(silence, nas6)
}

// TestInterfaceComesAgain: a chain goes with its interface, or with its name, and is
// whole when that is there again.
func TestInterfaceComesAgain(t *testing.T) {
	for name, away := range map[string]func(*post){
		"made anew": func(p *post) {
			p.must(p.host.RemoveLink(lab.Interface))
			p.must(p.lan.RestoreLink(p.host))
		},
		"renamed and back": func(p *post) {
			p.rename(lab.Interface, "other0")
			p.must(p.g.Check())
			p.rename("other0", lab.Interface)
			p.must(p.host.AddAddr(p.Context(), netip.PrefixFrom(p.host.Addr6(), 64)))
		},
	} {
		for means, mend := range map[string]func(*Guard) error{
			"attached": func(g *Guard) error { return g.Attach(lab.Interface) },
			"checked":  (*Guard).Check,
		} {
			t.Run(name+"/"+means, func(t *testing.T) {
				p := owning(t)
				p.must(p.g.Hold(lab.Interface, nas4, nas6))
				away(p)
				p.must(mend(p.g))
				_ = p.host.Do(func() error { return lan.BindAddr(p.index(), nas4, nas6) }) // it may have kept one
				p.reach(silence, nas4, nas6)
				p.must(p.g.Release(lab.Interface, nas4, nas6))
				p.reach(speech, nas4, nas6)
			})
		}
	}
}

// rename gives an interface of the host another name, which takes it down for a moment.
func (p *post) rename(from, to string) {
	p.Helper()
	p.must(p.host.SetLink(from, false))
	p.must(p.host.Do(func() error {
		ifi, err := net.InterfaceByName(from)
		if err != nil {
			return err
		}
		c, err := rtnetlink.Dial(nil)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Link.Set(&rtnetlink.LinkMessage{Index: uint32(ifi.Index), Attributes: &rtnetlink.LinkAttributes{Name: to}})
	}))
	p.must(p.host.SetLink(to, true))
}

// TestTaggedFrames are another interface's, unless the tag has no VLAN.
func TestTaggedFrames(t *testing.T) {
	p := newPost(t)
	p.must(p.g.Hold(lab.Interface, nas4, nas6))
	seen, passed := p.counter("seen", *nftables.ChainPriorityRaw-1), p.counter("passed", *nftables.ChainPriorityRaw+1)
	client := p.lan.Client()
	for _, c := range []struct {
		name   string
		tag    []byte
		passes bool
	}{
		{"no tag", nil, false},
		{"VID 0", []byte{0x81, 0, 0xe0, 0}, false},
		{"VID 1", []byte{0x81, 0, 0, 1}, true},
		{"VID 4094 and a priority", []byte{0x81, 0, 0xef, 0xfe}, true},
		{"service tag", []byte{0x88, 0xa8, 0, 10}, true},
		{"service tag, VID 0", []byte{0x88, 0xa8, 0, 0}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			had, want := seen(), passed()
			for i, ip := range []netip.Addr{nas4, nas6} {
				from := []netip.Addr{client.Addr4(), client.Addr6()}[i]
				syn, err := lan.SYNProbe(client.MAC(), p.host.MAC(), netip.AddrPortFrom(from, 4000), netip.AddrPortFrom(ip, 22), 1)
				p.must(err)
				p.must(client.SendFrame(slices.Concat(syn[:12], c.tag, syn[12:])))
				had[i]++
				if c.passes {
					want[i]++
				}
			}
			for deadline := time.Now().Add(5 * time.Second); !slices.Equal(seen(), had); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("seen %d, want %d", seen(), had)
				}
			}
			if diff := cmp.Diff(want, passed()); diff != "" {
				t.Errorf("passed the guard, IPv4 and IPv6 (-want +got):\n%s", diff)
			}
		})
	}
}

// counter makes a table of a name, which counts packets for nas where others of a
// priority see them. It returns how many there were, for IPv4 and for IPv6.
func (p *post) counter(name string, priority nftables.ChainPriority) func() []uint64 {
	p.Helper()
	table := p.conn.AddTable(&nftables.Table{Name: name, Family: nftables.TableFamilyNetdev})
	chain := p.conn.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeFilter, Device: lab.Interface,
		Hooknum: nftables.ChainHookIngress, Priority: &priority})
	for _, to := range [][]expr.Any{
		slices.Concat(version(4), fieldIs(destination4, nas4.AsSlice())),
		slices.Concat(version(6), fieldIs(destination6, nas6.AsSlice())),
	} {
		p.conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(to, &expr.Counter{})})
	}
	p.must(p.conn.Flush())
	return func() (counted []uint64) {
		p.Helper()
		rules, err := p.conn.GetRules(table, chain)
		p.must(err)
		for _, r := range rules {
			counted = append(counted, r.Exprs[len(r.Exprs)-1].(*expr.Counter).Packets)
		}
		return counted
	}
}

func fieldIs(offset uint32, value []byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(value))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value},
	}
}

// TestPortUnreachable: while an address is claimed only our readers get it, and know that
// a port there is closed, and all else from it is heard. The client stands for a
// machine that arrives.
func TestPortUnreachable(t *testing.T) {
	for _, noIngress := range []bool{false, true} {
		p := newHost(t)
		dial := p.dial
		if noIngress {
			dial = p.withoutNetdev(unix.EOPNOTSUPP)
		}
		g, err := install(dial, options)
		p.must(err)
		client := p.lan.Client()
		arriving := []netip.Addr{client.Addr4(), client.Addr6()}
		for _, ip := range arriving {
			if err := p.datagram(ip, 5*time.Second); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("before the claim of %v: %v", ip, err)
			}
			p.must(g.Hold(lab.Interface, ip))
			if err := p.datagram(ip, 200*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("while %v is claimed: %v", ip, err)
			}
			p.must(p.host.Ping(t.Context(), ip))
		}
	}
}

// datagram sends one from the host to a closed port, and returns the error that comes
// of it within a time.
func (p *post) datagram(ip netip.Addr, wait time.Duration) error {
	p.Helper()
	conn, err := p.host.Dial(p.Context(), "udp", netip.AddrPortFrom(ip, deafPort).String())
	p.must(err)
	defer conn.Close()
	p.must(conn.SetDeadline(time.Now().Add(wait)))
	_, err = conn.Write([]byte("?"))
	p.must(err)
	_, err = conn.Read(make([]byte, 1))
	return err
}
