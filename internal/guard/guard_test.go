package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
)

var (
	nas4 = netip.MustParseAddr("10.77.0.20")
	nas6 = netip.MustParseAddr("fd77::20")
	tv4  = netip.MustParseAddr("10.77.0.30")
)

// post is a guard on a host of the lab, and a view of the host's tables that
// does not go through it.
type post struct {
	testing.TB
	lan  *lab.LAN
	host *lab.Host
	g    *Guard
	conn *nftables.Conn
}

// options are what most tests install.
var (
	options = Options{Interfaces: []string{"eth0", "wlan-fifteen-ch"}}
	bound   = Options{Interfaces: options.Interfaces, Bound: true}
)

func newPost(t testing.TB) *post {
	t.Helper()
	p := newHost(t)
	p.g = p.install(options)
	return p
}

// newHost has no guard yet.
func newHost(t testing.TB) *post {
	t.Helper()
	p := &post{TB: t, lan: labtest.New(t)}
	p.host = p.lan.Porter()
	p.must(p.host.Do(func() (err error) {
		p.conn, err = nftables.New(nftables.AsLasting())
		return err
	}))
	t.Cleanup(func() { p.must(p.conn.CloseLasting()) })
	return p
}

func (p *post) install(o Options) *Guard {
	p.Helper()
	g, err := install(p.dial, o)
	p.must(err)
	p.Cleanup(func() { _ = g.Close() }) // the test may have closed it
	return g
}

// dial opens a session inside the host, from whatever thread.
func (p *post) dial() (s *session, err error) {
	err = p.host.Do(func() error {
		var failed error
		s, failed = dial()
		return failed
	})
	return s, err
}

func (p *post) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// sets returns those that the kernel has in our tables, but for names of interfaces.
func (p *post) sets() (all []*nftables.Set) {
	p.Helper()
	tables, err := p.conn.ListTables()
	p.must(err)
	for _, t := range tables {
		if t.Name != "nightporter" || t.Family == nftables.TableFamilyIPv4 || t.Family == nftables.TableFamilyBridge { // those are foreign
			continue
		}
		sets, err := p.conn.GetSets(t)
		p.must(err)
		all = append(all, slices.DeleteFunc(sets, func(s *nftables.Set) bool { return s.Name == "interfaces" })...)
	}
	return all
}

// addrs returns what the kernel holds. Of the tables that are there each holds all,
// but for IPv6 addresses in that of ARP.
func (p *post) addrs() []string {
	p.Helper()
	holds := make(map[string][]string)
	for _, s := range p.sets() {
		if kind, _, _ := strings.Cut(s.Name, "_"); kind == "claimed4" || kind == "claimed6" {
			key := fmt.Sprintf("%s in %d", kind, s.Table.Family)
			holds[key] = append(holds[key], p.elements(s)...)
		}
	}
	var all []string
	for _, held := range holds {
		all = append(all, held...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for key, held := range holds {
		want := slices.DeleteFunc(slices.Clone(all), func(ip string) bool {
			return netip.MustParseAddr(ip).Is4() != strings.HasPrefix(key, "claimed4")
		})
		slices.Sort(held)
		if diff := cmp.Diff(want, held, cmpopts.EquateEmpty()); diff != "" {
			p.Errorf("held as %s (-want +got):\n%s", key, diff)
		}
	}
	return all
}

// wantTails: the first filter of IPv6 packets has what belongs to the addresses.
func (p *post) wantTails() {
	p.Helper()
	want, got := make(map[string][]string), make(map[string][]string)
	for _, s := range p.sets() {
		kind, number, _ := strings.Cut(s.Name, "_")
		key := fmt.Sprintf("%d, %s", s.Table.Family, number)
		switch kind {
		case "claimed6":
			for _, text := range p.elements(s) {
				ip := netip.MustParseAddr(text).As16()
				want[key] = append(want[key], fmt.Sprintf("%x", ip[12:]))
			}
			slices.Sort(want[key])
			want[key] = slices.Compact(want[key])
		case "tails6":
			elements, err := p.conn.GetSetElements(s)
			p.must(err)
			got[key] = nil
			for _, e := range elements {
				got[key] = append(got[key], fmt.Sprintf("%x", e.Key))
			}
			slices.Sort(got[key])
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		p.Errorf("tails of the addresses held (-want +got):\n%s", diff)
	}
}

func (p *post) elements(set *nftables.Set) (all []string) {
	p.Helper()
	elements, err := p.conn.GetSetElements(set)
	p.must(err)
	for _, e := range elements {
		ip, _ := netip.AddrFromSlice(e.Key)
		all = append(all, ip.String())
	}
	return all
}

// settled reads the addresses until there are n, or for a while. A set is a hash
// table that changes its size behind our back; a walk meanwhile meets elements
// twice, or not at all.
func (p *post) settled(n int) []string {
	p.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if all := p.addrs(); len(all) == n || time.Now().After(deadline) {
			return all
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *post) wantAddrs(want ...netip.Addr) {
	p.Helper()
	var texts []string
	for _, ip := range want {
		texts = append(texts, ip.String())
	}
	slices.Sort(texts)
	if diff := cmp.Diff(texts, p.addrs()); diff != "" {
		p.Errorf("held by the kernel (-want +got):\n%s", diff)
	}
	p.wantTails()
}

func (p *post) tables() map[string]string {
	p.Helper()
	all, err := p.host.Ruleset()
	p.must(err)
	return all
}

func TestHoldAndRelease(t *testing.T) {
	p := newPost(t)
	p.must(p.g.Hold(lab.Interface, nas4, nas6))
	p.wantAddrs(nas4, nas6)
	p.must(p.g.Hold(lab.Interface, nas6, nas4, tv4)) // two of them again
	p.wantAddrs(nas4, nas6, tv4)
	p.must(p.g.Release(lab.Interface, nas4))
	p.must(p.g.Release(lab.Interface, nas4))
	p.wantAddrs(nas6, tv4)
	p.must(p.g.Hold(lab.Interface))
	alike6 := netip.MustParseAddr("2001:db8:77::20") // the same identifier in another network
	p.must(p.g.Hold(lab.Interface, alike6))
	p.wantAddrs(nas6, tv4, alike6)
	p.must(p.g.Release(lab.Interface, nas6))
	p.wantAddrs(tv4, alike6)
	p.must(p.g.Hold(lab.Interface, nas6))
	p.must(p.g.Release(lab.Interface, nas6, tv4, nas4, alike6))
	p.wantAddrs()
	p.must(p.g.Close())
	if tables := p.tables(); len(tables) != 0 {
		t.Errorf("left behind: %v", tables)
	}
}

// TestReplacesALeftover: the table of a run that crashed, whatever is in it, is
// as if it had never been, and all other tables stay as they are.
func TestReplacesALeftover(t *testing.T) {
	p := newPost(t)
	p.must(p.g.Close())
	foreign(p.conn)
	p.must(p.conn.Flush())
	before := p.tables()
	crashed := p.install(options)
	fresh := len(p.tables()["netdev nightporter"])
	p.must(crashed.Hold(lab.Interface, nas4, nas6))
	p.must(p.install(bound).Hold(lab.Interface, nas4)) // it was in bind mode once
	p.conn.AddChain(&nftables.Chain{Name: "odd", Table: inetTable()})
	p.must(p.conn.Flush())

	again := p.install(options)
	p.wantAddrs()
	if got := len(p.tables()["netdev nightporter"]); got != fresh {
		t.Errorf("the table is %d bytes, the first was %d", got, fresh)
	}
	p.must(again.Hold(lab.Interface, tv4))
	p.wantAddrs(tv4)
	p.must(again.Release(lab.Interface, tv4))
	p.must(again.Close())
	if diff := cmp.Diff(before, p.tables()); diff != "" {
		t.Errorf("tables of others (-before +after):\n%s", diff)
	}

	p.install(bound)
	p.must(p.host.Do(Clear))
	p.must(p.host.Do(Clear))
	if diff := cmp.Diff(before, p.tables()); diff != "" {
		t.Errorf("tables of others after Clear (-before +after):\n%s", diff)
	}
}

// foreign queues tables such as others have: one of them with our name.
func foreign(conn *nftables.Conn) {
	for _, t := range []*nftables.Table{
		{Name: "filter", Family: nftables.TableFamilyINet},
		{Name: "nightporter", Family: nftables.TableFamilyIPv4},
		{Name: "nightporter", Family: nftables.TableFamilyBridge},
	} {
		conn.AddTable(t)
		c := conn.AddChain(&nftables.Chain{Name: "pre", Table: t, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw})
		conn.AddRule(&nftables.Rule{Table: t, Chain: c, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}})
		_ = conn.AddSet(&nftables.Set{Table: t, ID: 9, Name: "friends", KeyType: nftables.TypeIPAddr},
			[]nftables.SetElement{{Key: nas4.AsSlice()}})
	}
}

// TestPutsBackWhatOthersDeleted: with the next change or round.
func TestPutsBackWhatOthersDeleted(t *testing.T) {
	for _, c := range []struct {
		name  string
		opts  Options
		table *nftables.Table // nil: all
		next  func(*Guard) error
	}{
		{"hold", options, nil, func(g *Guard) error { return g.Hold(lab.Interface, tv4) }},
		{"release", options, nil, func(g *Guard) error { return errors.Join(g.Hold(lab.Interface, tv4), g.Release(lab.Interface, tv4)) }},
		{"check", options, nil, (*Guard).Check},
		{"bound, hold", bound, arpTable(), func(g *Guard) error { return g.Hold(lab.Interface, tv4) }},
		{"bound, check", bound, nil, (*Guard).Check},
		{"bound, check inet", bound, inetTable(), (*Guard).Check},
		{"bound, check arp", bound, arpTable(), (*Guard).Check},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newHost(t)
			g := p.install(c.opts)
			p.must(g.Hold(lab.Interface, nas4, nas6))
			whole := p.tables()
			if c.table != nil {
				p.conn.DelTable(c.table)
			} else {
				p.conn.FlushRuleset()
			}
			p.must(p.conn.Flush())
			p.must(c.next(g))
			want := []netip.Addr{nas4, nas6}
			if strings.HasSuffix(c.name, "hold") {
				want = append(want, tv4)
			}
			p.wantAddrs(want...)
			before := p.tables()
			if len(before) != len(whole) {
				t.Errorf("%d tables, want %d", len(before), len(whole))
			}
			p.must(g.Check())
			if diff := cmp.Diff(before, p.tables()); diff != "" {
				t.Errorf("a table that is there was replaced:\n%s", diff)
			}
		})
	}
	for _, o := range []Options{options, bound} {
		t.Run(fmt.Sprintf("close, bound %v", o.Bound), func(t *testing.T) {
			p := newHost(t)
			g := p.install(o)
			p.conn.FlushRuleset()
			p.must(p.conn.Flush())
			p.must(g.Close())
		})
	}
}

// TestThousands of addresses go in one transaction.
func TestThousands(t *testing.T) {
	p := newPost(t)
	var all []netip.Addr
	for i := range 20000 {
		ip4, ip6 := nas4.As4(), nas6.As16()
		binary.BigEndian.PutUint16(ip4[2:], uint16(i))
		binary.BigEndian.PutUint16(ip6[14:], uint16(i))
		all = append(all, netip.AddrFrom4(ip4), netip.AddrFrom16(ip6))
	}
	p.must(p.g.Hold(lab.Interface, all...))
	if got := len(p.settled(len(all))); got != len(all) {
		t.Errorf("%d addresses are held, want %d", got, len(all))
	}
	p.conn.FlushRuleset()
	p.must(p.conn.Flush())
	p.must(p.g.Check())
	if got := len(p.settled(len(all))); got != len(all) {
		t.Errorf("%d addresses are back, want %d", got, len(all))
	}
	p.must(p.g.Release(lab.Interface, all[:39999]...))
	if got := p.settled(1); !slices.Equal(got, []string{all[39999].String()}) {
		t.Errorf("%d addresses are left, want %v", len(got), all[39999])
	}
}

// TestErrorsNameTheRemedy with a kernel that refuses.
func TestErrorsNameTheRemedy(t *testing.T) {
	for _, c := range []struct {
		errno unix.Errno
		want  []string
	}{
		{unix.EPERM, []string{"nftables tables nightporter", "operation not permitted", "CAP_NET_ADMIN", "setcap"}},
		{unix.EOPNOTSUPP, []string{"nftables tables nightporter", "operation not supported", "modprobe nf_tables"}},
	} {
		_, err := install(scripted(refusing(c.errno)), options)
		if err == nil {
			t.Fatalf("%v: installed", c.errno)
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q lacks %q", err, w)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is more than a line", err)
		}
	}
}

// BenchmarkHold is what one claim and one release cost the loop.
func BenchmarkHold(b *testing.B) {
	p := newPost(b)
	for b.Loop() {
		p.must(p.g.Hold(lab.Interface, nas4, nas6))
		p.must(p.g.Release(lab.Interface, nas4, nas6))
	}
}
