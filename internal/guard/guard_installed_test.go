package guard

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The expressions of the rules that are expected; what follows the name of a set
// tells the interface's from that for all.

func fieldIn(base expr.PayloadBase, offset, size uint32, set string) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: size},
		&expr.Lookup{SourceRegister: 1, SetName: set},
	}
}

func metaIs(key expr.MetaKey, value ...byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value}}
}

func maskIs(base expr.PayloadBase, mask, value []byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: base, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: []byte{0, 0, 0, 0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value},
	}
}

func versionIs(v byte) []expr.Any {
	return maskIs(expr.PayloadBaseNetworkHeader, []byte{0xf0, 0, 0, 0}, []byte{v << 4, 0, 0, 0})
}

func wantTo4(of string) []expr.Any {
	return slices.Concat(versionIs(4), fieldIn(expr.PayloadBaseNetworkHeader, 16, 4, "claimed4"+of))
}

func wantTo6(of string) []expr.Any {
	return slices.Concat(versionIs(6),
		fieldIn(expr.PayloadBaseNetworkHeader, 36, 4, "tails6"+of), fieldIn(expr.PayloadBaseNetworkHeader, 24, 16, "claimed6"+of))
}

func wantDiverted4(of string) []expr.Any {
	return slices.Concat(versionIs(4),
		fieldIn(expr.PayloadBaseNetworkHeader, 16, 4, "clients"+of), fieldIn(expr.PayloadBaseNetworkHeader, 12, 8, "ways4"+of))
}

func wantDiverted6(of string) []expr.Any {
	return slices.Concat(versionIs(6),
		fieldIn(expr.PayloadBaseNetworkHeader, 36, 4, "clients"+of), fieldIn(expr.PayloadBaseNetworkHeader, 8, 32, "ways6"+of))
}

func wantUnreachable4(of string) []expr.Any {
	return slices.Concat(metaIs(expr.MetaKeyL4PROTO, 1), portUnreachable(3, 3),
		versionIs(4), fieldIn(expr.PayloadBaseNetworkHeader, 12, 4, "claimed4"+of))
}

func wantUnreachable6(of string) []expr.Any {
	return slices.Concat(metaIs(expr.MetaKeyL4PROTO, 58), portUnreachable(1, 4),
		versionIs(6), fieldIn(expr.PayloadBaseNetworkHeader, 8, 16, "claimed6"+of))
}

func portUnreachable(kind, code byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{kind, code}},
	}
}

func wantAbout6(of string) []expr.Any {
	return slices.Concat(metaIs(expr.MetaKeyL4PROTO, 58), []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Len: 1},
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: []byte{135}},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: []byte{136}},
	}, fieldIn(expr.PayloadBaseTransportHeader, 8, 16, "claimed6"+of))
}

func wantTag(etherType ...byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: 12, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: []byte{0xff, 0xff, 0x0f, 0xff}, Xor: []byte{0, 0, 0, 0}},
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: append(etherType, 0, 1)},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: append(etherType, 0xf, 0xff)},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}

func wantFrom(ours bool) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, &expr.Lookup{SourceRegister: 1, SetName: "interfaces", Invert: !ours}}
}

var (
	wantARPAbout4 = slices.Concat([]expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 6, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0, 1}},
	}, fieldIn(expr.PayloadBaseNetworkHeader, 24, 4, "claimed4"))
	dropped = []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}
)

// after appends the same to each.
func after(tail []expr.Any, rules ...[]expr.Any) (all [][]expr.Any) {
	for _, r := range rules {
		all = append(all, slices.Concat(r, tail))
	}
	return all
}

func goingTo(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

// wantIngress are the rules of an interface.
func wantIngress(of string, bound bool) [][]expr.Any {
	rules := append(after(goingTo("matched"), wantTo4(of), wantTo6(of), wantDiverted4(of), wantDiverted6(of)), slices.Concat(
		maskIs(expr.PayloadBaseTransportHeader, []byte{0xfd, 0xf8, 0, 0}, []byte{1, 0, 0, 0}), goingTo("unreachable"+of)))
	if bound {
		rules = append(rules, slices.Concat(wantAbout6(of), goingTo("matched")))
	}
	return rules
}

func wantUnreachable(of string) [][]expr.Any {
	return after(goingTo("matched"), wantUnreachable4(of), wantUnreachable6(of))
}

// TestInstalled reads back what the kernel has: the whole of it.
func TestInstalled(t *testing.T) {
	prerouting := nftables.Chain{Name: "prerouting", Table: inetTable(), Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw}
	input := nftables.Chain{Name: "input", Table: arpTable(), Hooknum: nftables.ChainHookRef(0), Priority: nftables.ChainPriorityFilter}
	chain := func(name string) nftables.Chain { return nftables.Chain{Name: name, Table: netdevTable()} }
	verdict := [][]expr.Any{{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{8, 0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0x86, 0xdd}},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}, wantTag(0x81, 0), wantTag(0x88, 0xa8), dropped}
	ingress := func(number int) nftables.Chain {
		return nftables.Chain{Name: fmt.Sprint("ingress_", number), Table: netdevTable(), Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityRaw}
	}
	type rules struct {
		chain nftables.Chain
		rules [][]expr.Any
	}
	for _, c := range []struct {
		name             string
		bound, noIngress bool
		want             []rules
	}{
		{"responder", false, false, []rules{
			{chain("matched"), verdict}, {ingress(1), wantIngress("_1", false)}, {ingress(2), wantIngress("_2", false)},
			{chain("unreachable_1"), wantUnreachable("_1")}, {chain("unreachable_2"), wantUnreachable("_2")},
		}},
		{"bound", true, false, []rules{
			{chain("matched"), verdict}, {ingress(1), wantIngress("", true)}, {ingress(2), wantIngress("", true)},
			{chain("unreachable"), wantUnreachable("")},
			{prerouting, after(slices.Concat(wantFrom(false), dropped), wantTo4(""), wantTo6(""))},
			{input, after(dropped, wantARPAbout4)},
		}},
		{"responder without ingress", false, true, []rules{
			{prerouting, after(slices.Concat(wantFrom(true), dropped), wantTo4(""), wantTo6(""),
				wantDiverted4(""), wantDiverted6(""), wantUnreachable4(""), wantUnreachable6(""))},
		}},
		{"bound without ingress", true, true, []rules{
			{prerouting, append(after(dropped, wantTo4(""), wantTo6("")),
				after(slices.Concat(wantFrom(true), dropped), wantDiverted4(""), wantDiverted6(""), wantUnreachable4(""), wantUnreachable6(""), wantAbout6(""))...)},
			{input, after(dropped, wantARPAbout4)},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newHost(t)
			dial := p.dial
			if c.noIngress {
				dial = p.withoutNetdev(unix.EOPNOTSUPP)
			}
			_, err := install(dial, Options{Interfaces: options.Interfaces, Bound: c.bound})
			p.must(err)
			chains, err := p.conn.ListChains()
			p.must(err)
			if len(chains) != len(c.want) {
				t.Errorf("%d chains, want %d", len(chains), len(c.want))
			}
			for _, want := range c.want {
				p.wantChain(chains, want.chain, want.rules)
			}
			if c.bound || c.noIngress {
				p.wantInterfaces(options.Interfaces...)
			}
			p.wantAddrs()
		})
	}
}

// wantChain compares a chain with its rules.
func (p *post) wantChain(chains []*nftables.Chain, want nftables.Chain, rules [][]expr.Any) {
	p.Helper()
	i := slices.IndexFunc(chains, func(c *nftables.Chain) bool {
		return c.Name == want.Name && c.Table.Name == want.Table.Name && c.Table.Family == want.Table.Family
	})
	if i < 0 {
		p.Errorf("no chain %s in a table of family %d", want.Name, want.Table.Family)
		return
	}
	c := chains[i]
	if want.Hooknum != nil && (c.Type != nftables.ChainTypeFilter || *c.Hooknum != *want.Hooknum ||
		*c.Priority != *want.Priority || *c.Policy != nftables.ChainPolicyAccept) {
		p.Errorf("the chain is %+v at %d, priority %d", c, *c.Hooknum, *c.Priority)
	}
	listed, err := p.conn.GetRules(c.Table, c)
	p.must(err)
	var got [][]expr.Any
	for _, r := range listed {
		got = append(got, r.Exprs)
	}
	if diff := cmp.Diff(rules, got); diff != "" {
		p.Errorf("rules of %s (-want +got):\n%s", want.Name, diff)
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
