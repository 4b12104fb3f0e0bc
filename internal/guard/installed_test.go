package guard

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The expressions of the rules that are expected.

func fieldIn(base expr.PayloadBase, offset, size uint32, set string) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: size},
		&expr.Lookup{SourceRegister: 1, SetName: set},
	}
}

func familyIs(family byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
	}
}

var (
	to4 = slices.Concat(familyIs(unix.NFPROTO_IPV4), fieldIn(expr.PayloadBaseNetworkHeader, 16, 4, "claimed4"))
	to6 = slices.Concat(familyIs(unix.NFPROTO_IPV6),
		fieldIn(expr.PayloadBaseNetworkHeader, 36, 4, "tails6"), fieldIn(expr.PayloadBaseNetworkHeader, 24, 16, "claimed6"))
	incoming = []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Lookup{SourceRegister: 1, SetName: "interfaces"},
	}
	about6 = slices.Concat([]expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_ICMPV6}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Len: 1},
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: []byte{135}},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: []byte{136}},
	}, fieldIn(expr.PayloadBaseTransportHeader, 8, 16, "claimed6"))
	arpAbout4 = slices.Concat([]expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 6, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0, 1}},
	}, fieldIn(expr.PayloadBaseNetworkHeader, 24, 4, "claimed4"))
	dropped = []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}
)

// TestInstalled reads back what the kernel has: the whole of it.
func TestInstalled(t *testing.T) {
	prerouting := nftables.Chain{Name: "prerouting", Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw}
	input := nftables.Chain{Name: "input", Hooknum: nftables.ChainHookRef(0), Priority: nftables.ChainPriorityFilter}
	for _, c := range []struct {
		name   string
		bound  bool
		family nftables.TableFamily
		chain  nftables.Chain
		rules  [][]expr.Any
	}{
		{"inet", false, nftables.TableFamilyINet, prerouting,
			[][]expr.Any{slices.Concat(to4, incoming, dropped), slices.Concat(to6, incoming, dropped)}},
		{"bound, inet", true, nftables.TableFamilyINet, prerouting,
			[][]expr.Any{slices.Concat(to4, dropped), slices.Concat(to6, dropped), slices.Concat(about6, incoming, dropped)}},
		{"bound, arp", true, nftables.TableFamilyARP, input, [][]expr.Any{slices.Concat(arpAbout4, dropped)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newHost(t)
			p.install(Options{Interfaces: options.Interfaces, Bound: c.bound})
			p.wantChain(c.family, c.chain, c.rules)
			p.wantInterfaces(options.Interfaces...)
			p.wantAddrs()
			tables := 1
			if c.bound {
				tables = 2
			}
			if got := p.tables(); len(got) != tables {
				t.Errorf("%d tables, want %d: %v", len(got), tables, got)
			}
		})
	}
}

// wantChain compares the one chain of our table with its rules.
func (p *post) wantChain(family nftables.TableFamily, want nftables.Chain, rules [][]expr.Any) {
	p.Helper()
	chains, err := p.conn.ListChainsOfTableFamily(family)
	p.must(err)
	if len(chains) != 1 {
		p.Fatalf("%d chains", len(chains))
	}
	c := chains[0]
	if c.Name != want.Name || c.Table.Name != "nightporter" || c.Type != nftables.ChainTypeFilter || *c.Hooknum != *want.Hooknum ||
		*c.Priority != *want.Priority || *c.Policy != nftables.ChainPolicyAccept {
		p.Errorf("the chain is %+v at %d, priority %d", c, *c.Hooknum, *c.Priority)
	}
	listed, err := p.conn.GetRules(c.Table, c)
	p.must(err)
	var got [][]expr.Any
	for _, r := range listed {
		got = append(got, r.Exprs)
	}
	if diff := cmp.Diff(rules, got); diff != "" {
		p.Errorf("rules (-want +got):\n%s", diff)
	}
}

func (p *post) wantInterfaces(want ...string) {
	p.Helper()
	names, err := p.conn.GetSetElements(interfaceSet())
	p.must(err)
	var interfaces []string
	for _, e := range names {
		interfaces = append(interfaces, strings.TrimRight(string(e.Key), "\x00"))
	}
	slices.Sort(interfaces)
	if !slices.Equal(interfaces, want) {
		p.Errorf("interfaces %q, want %q", interfaces, want)
	}
}
