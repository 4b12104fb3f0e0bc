package guard

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
)

// Guard is what we have in the kernel. Its methods are not for several goroutines
// at once.
type Guard struct {
	dial         func() (*session, error)
	session      *session // nil: the next transaction opens one
	opts         Options
	noIngress    bool                           // the kernel has no ingress hook
	held         map[string]map[netip.Addr]bool // by interface
	diverted     map[string]map[Flow]bool       // by interface
	broken       bool                           // the kernel may have something else than held and diverted
	unresponsive error                          // the kernel does not answer; nil: it does
	capacity     int                            // for how many addresses and ways the tables were made
}

// Options are what a Guard has to know.
type Options struct {
	Interfaces []string // on which addresses may be claimed, there or not, as far as they are known
	// Bound says that the kernel owns the claimed addresses. Then packets to them
	// are dropped wherever they come from, and ARP requests and neighbour
	// solicitations about them as well: the kernel would answer also the machine
	// itself, whose duplicate address detection would fail. An address is to be
	// held before it is bound, and until it is unbound.
	Bound bool
}

// noIngressLimits is what a kernel without the ingress hook costs.
const noIngressLimits = "this kernel has no ingress hook for nftables (NF_TABLES_NETDEV): knocks are not seen on a bridge with br_netfilter, " +
	"nor those that this host routes from one of nightporter's interfaces to another"

// takeIn has the tables made anew with an interface that Options did not name.
func (g *Guard) addInterface(ifi string) {
	if g.number(ifi) == 0 {
		g.opts.Interfaces = append(slices.Clone(g.opts.Interfaces), ifi)
		g.broken = true
	}
}

// include adds elements to those of an interface, and returns the new ones.
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

// exclude takes elements from those of an interface, and returns which were there.
func exclude[E comparable](all map[string]map[E]bool, ifi string, elements []E) (gone []E) {
	for _, e := range elements {
		if all[ifi][e] {
			delete(all[ifi], e)
			gone = append(gone, e)
		}
	}
	return gone
}

// places returns where the addresses that are claimed on an interface are kept. What
// the kernel owns it takes in from everywhere: those are the same for all interfaces.
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

// number is that of an interface, from 1.
func (g *Guard) number(ifi string) int { return slices.Index(g.opts.Interfaces, ifi) + 1 }

// heldIn returns what is held in a place.
func (g *Guard) heldIn(p setGroup) map[netip.Addr]bool { return inGroup(g, g.held, p) }

// ofPlace returns what there is of all interfaces that a place is for.
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

// transact has work talk to the kernel, for answerTime at most. After an error
// the next transaction begins with a session of its own.
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
		_ = g.disconnect() // the error that there is says more
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

// divertedIn returns which ways are diverted in a place.
func (g *Guard) divertedIn(p setGroup) map[Flow]bool { return inGroup(g, g.diverted, p) }

// judges reports whether a place is for what comes in by our interfaces, which may be
// diverted.
func (g *Guard) filtersIngress(p setGroup) bool { return p.family == g.tables()[0].Family }

func chainName(number int) string { return fmt.Sprint("ingress_", number) }
