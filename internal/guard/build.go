package guard

import (
	"errors"
	"slices"

	"github.com/google/nftables"
)

// build creates the tables again, with chains for existing interfaces.
func (g *Guard) build(room int, there []string) error {
	return g.transact(func(conn *nftables.Conn) error {
		failed := g.buildSets(conn, room)
		if !g.noIngress {
			for _, name := range there {
				g.ingress(conn, name)
			}
		}
		if g.noIngress || g.opts.Bound {
			failed = errors.Join(failed, g.prerouting(conn))
		}
		if g.opts.Bound {
			hook(conn, &nftables.Chain{
				Name: "input", Table: arpTable(), Hooknum: arpInput(), Priority: nftables.ChainPriorityFilter,
			}, arpRules(setGroup{family: nftables.TableFamilyARP}))
		}
		return errors.Join(failed, conn.Flush())
	})
}

// buildSets queues the tables, with the sets of claimed addresses.
func (g *Guard) buildSets(conn *nftables.Conn, room int) error {
	for _, t := range g.tables() {
		conn.AddTable(t) // a table that does not exist cannot be deleted
		conn.DelTable(t)
		conn.AddTable(t)
	}
	var all []setGroup
	for _, name := range g.opts.Interfaces {
		all = append(all, g.setGroups(name)...)
	}
	if g.opts.Bound || g.noIngress {
		all = append(all, g.setGroups("")...) // the rules for all interfaces need them, also before an interface is known
	}
	slices.SortFunc(all, setGroup.compare)
	if !g.noIngress {
		fill(conn, conn.AddChain(&nftables.Chain{Name: matched, Table: netdevTable()}), matchedRules())
	}
	var failed error
	for _, p := range slices.Compact(all) {
		failed = errors.Join(failed, p.makeAddresses(conn, g.heldIn(p), room))
		if g.filtersIngress(p) {
			failed = errors.Join(failed, p.makeFlows(conn, g.divertedIn(p), room))
		}
		if p.family == nftables.TableFamilyNetdev {
			fill(conn, conn.AddChain(&nftables.Chain{Name: p.name(unreachable), Table: p.table()}), unreachableRules(p))
		}
	}
	return failed
}

// prerouting queues the chain at the prerouting hook.
func (g *Guard) prerouting(conn *nftables.Conn) error {
	names := make([]nftables.SetElement, len(g.opts.Interfaces))
	for i, name := range g.opts.Interfaces {
		names[i].Key = interfaceKey(name)
	}
	failed := conn.AddSet(interfaceSet(), names)
	p := setGroup{family: nftables.TableFamilyINet}
	rules := preroutingRules(p)
	if g.noIngress {
		rules = preroutingRulesWithoutIngress(p, g.opts.Bound)
	}
	hook(conn, &nftables.Chain{
		Name: "prerouting", Table: p.table(), Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw,
	}, rules)
	return failed
}

// ingress queues the chain of an interface. It comes after the packet sockets of the
// interface and before everything else. Frames between two ports of a bridge do not pass it.
func (g *Guard) ingress(conn *nftables.Conn, ifi string) {
	c := &nftables.Chain{Name: chainName(g.number(ifi)), Table: netdevTable()}
	conn.AddChain(c) // a chain that does not exist cannot be deleted
	conn.DelChain(c)
	hook(conn, &nftables.Chain{
		Name: c.Name, Table: c.Table, Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityRaw, Device: ifi,
	}, ingressRules(g.setGroups(ifi)[0], g.opts.Bound))
}
