package guard

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
)

// Guard is the set of our tables in the kernel. It is not safe for concurrent use.
type Guard struct {
	dial         func() (*session, error)
	session      *session // nil: the next transaction opens one
	opts         Options
	noIngress    bool                           // the kernel has no ingress hook
	held         map[string]map[netip.Addr]bool // by interface
	diverted     map[string]map[Flow]bool       // by interface
	broken       bool                           // the kernel's tables may differ from held and diverted
	unresponsive error                          // the kernel does not answer; nil: it does
	capacity     int                            // number of addresses and flows for which the tables have room
}

// Options are the settings of a Guard.
type Options struct {
	Interfaces []string // known interfaces on which addresses may be claimed; they need not exist
	// Bound means that the kernel owns the claimed addresses. Then packets to them are
	// dropped on every interface, and ARP requests and neighbor solicitations for them
	// too: the kernel would also answer the machine itself, whose duplicate address
	// detection would fail. An address must be held before it is bound and until it is
	// unbound.
	Bound bool
}

// noIngressLimits is what the guard cannot do on a kernel without the ingress hook.
const noIngressLimits = "this kernel has no ingress hook for nftables (NF_TABLES_NETDEV): knocks are not seen on a bridge with br_netfilter, " +
	"nor those that this host routes from one of nightporter's interfaces to another"

// addInterface adds an interface that Options did not name. The tables are replaced with the
// next change.
func (g *Guard) addInterface(ifi string) {
	if g.number(ifi) == 0 {
		g.opts.Interfaces = append(slices.Clone(g.opts.Interfaces), ifi)
		g.broken = true
	}
}

// include adds elements to an interface, and returns the new ones.
func include[E comparable](all map[string]map[E]bool, ifi string, elements []E) (added []E) {
	if all[ifi] == nil {
		all[ifi] = make(map[E]bool)
	}
	for _, e := range elements {
		if !all[ifi][e] {
			all[ifi][e] = true
			added = append(added, e)
		}
	}
	return added
}

// exclude removes elements of an interface, and returns those that existed.
func exclude[E comparable](all map[string]map[E]bool, ifi string, elements []E) (gone []E) {
	for _, e := range elements {
		if all[ifi][e] {
			delete(all[ifi], e)
			gone = append(gone, e)
		}
	}
	return gone
}

// setGroups returns the set groups for the addresses that are claimed on an interface. If
// the kernel owns the addresses it accepts their packets on every interface, so the groups
// are the same for all.
func (g *Guard) setGroups(ifi string) []setGroup {
	if !g.opts.Bound && !g.noIngress {
		return []setGroup{{family: nftables.TableFamilyNetdev, number: g.number(ifi)}}
	}
	var all []setGroup
	for _, t := range g.tables() {
		all = append(all, setGroup{family: t.Family})
	}
	return all
}

// tables returns those that are needed.
func (g *Guard) tables() (all []*nftables.Table) {
	if !g.noIngress {
		all = append(all, netdevTable())
	}
	if g.noIngress || g.opts.Bound {
		all = append(all, inetTable())
	}
	if g.opts.Bound {
		all = append(all, arpTable())
	}
	return all
}

// number returns the number of an interface, from 1, or 0 if it is not known.
func (g *Guard) number(ifi string) int { return slices.Index(g.opts.Interfaces, ifi) + 1 }

// heldIn returns the addresses that are held in a set group.
func (g *Guard) heldIn(p setGroup) map[netip.Addr]bool { return inGroup(g, g.held, p) }

// inGroup returns the elements of all interfaces of a set group.
func inGroup[E comparable](g *Guard, byInterface map[string]map[E]bool, p setGroup) map[E]bool {
	if p.number > 0 {
		return byInterface[g.opts.Interfaces[p.number-1]]
	}
	all := make(map[E]bool)
	for _, elements := range byInterface {
		maps.Copy(all, elements)
	}
	return all
}

func (g *Guard) count() (all int) {
	for _, held := range g.held {
		all += len(held)
	}
	for _, ways := range g.diverted {
		all += len(ways)
	}
	return all
}

func (g *Guard) tableExists(t *nftables.Table) bool {
	return g.transact(func(conn *nftables.Conn) error {
		_, err := conn.ListTableOfFamily(t.Name, t.Family)
		return err
	}) == nil
}

// transact runs work with a session, for at most answerTime. After an error the next
// transaction opens a new session.
func (g *Guard) transact(work func(*nftables.Conn) error) error {
	if g.session == nil {
		s, err := g.dial()
		if err != nil {
			return err
		}
		g.session = s
	}
	err := g.session.setDeadline(time.Now().Add(answerTime))
	if err == nil {
		err = work(g.session.Conn)
	}
	if err != nil {
		_ = g.disconnect() // the first error says more
	}
	return err
}

func (g *Guard) disconnect() error {
	if g.session == nil {
		return nil
	}
	s := g.session
	g.session = nil
	return s.CloseLasting()
}

// divertedIn returns the flows that are diverted in a set group.
func (g *Guard) divertedIn(p setGroup) map[Flow]bool { return inGroup(g, g.diverted, p) }

// filtersIngress reports whether a set group is for packets that arrive on our interfaces.
// Only these are diverted.
func (g *Guard) filtersIngress(p setGroup) bool { return p.family == g.tables()[0].Family }

func chainName(number int) string { return fmt.Sprint("ingress_", number) }
