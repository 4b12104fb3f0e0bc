package guard

import (
	"errors"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Way leads from an address of a machine to a client's, of the same family.
type Way struct{ From, To netip.Addr }

// key is both as they stand in the headers, one behind the other.
func (w Way) key() []byte { return append(w.From.AsSlice(), w.To.AsSlice()...) }

// Divert keeps the kernel from sending on what comes in on an interface by the ways.
// With an error they are kept in mind, and Check tries again.
func (g *Guard) Divert(ifi string, ways ...Way) error {
	added := include(g.diverted, ifi, ways)
	return g.change(ifi, len(added), func(conn *nftables.Conn, p place) error {
		if !g.judges(p) {
			return nil
		}
		return p.alterWays(conn, (*nftables.Conn).SetAddElements, added, nil)
	})
}

// Undivert lets the kernel do with the ways what it likes. With an error Check tries
// again.
func (g *Guard) Undivert(ifi string, ways ...Way) error {
	gone := exclude(g.diverted, ifi, ways)
	return g.change(ifi, len(gone), func(conn *nftables.Conn, p place) error {
		if !g.judges(p) {
			return nil
		}
		left := g.divertedIn(p)
		gone := slices.DeleteFunc(slices.Clone(gone), func(w Way) bool { return left[w] })
		return p.alterWays(conn, (*nftables.Conn).SetDeleteElements, gone, left)
	})
}

// divertedIn returns which ways are diverted in a place.
func (g *Guard) divertedIn(p place) map[Way]bool { return ofPlace(g, g.diverted, p) }

// judges reports whether a place is for what comes in by our interfaces, which may be
// diverted.
func (g *Guard) judges(p place) bool { return p.family == g.tables()[0].Family }

// ways4 and ways6 have what is diverted.
func (p place) ways4() *nftables.Set { return p.set(4, "ways4", pairOf(nftables.TypeIPAddr)) }
func (p place) ways6() *nftables.Set { return p.set(5, "ways6", pairOf(nftables.TypeIP6Addr)) }

// clients has the last four octets of the destinations of ways, of both families: an
// IPv4 address, or what is looked at first of an IPv6 one.
func (p place) clients() *nftables.Set { return p.set(6, "clients", nftables.TypeInteger) }

func pairOf(key nftables.SetDatatype) nftables.SetDatatype {
	return nftables.MustConcatSetType(key, key)
}

// makeWays is make for what is diverted.
func (p place) makeWays(conn *nftables.Conn, diverted map[Way]bool, room int) error {
	clients := p.clients()
	clients.Size = uint32(room)
	failed := errors.Join(conn.AddSet(p.ways4(), nil), conn.AddSet(p.ways6(), nil), conn.AddSet(clients, nil))
	return errors.Join(failed, p.alterWays(conn, (*nftables.Conn).SetAddElements, slices.Collect(maps.Keys(diverted)), nil))
}

// alterWays has do take ways, and tails of clients to whom none of others leads.
func (p place) alterWays(conn *nftables.Conn, do alteration, ways []Way, others map[Way]bool) error {
	var four, six []Way
	var to, toOthers []netip.Addr
	for _, w := range ways {
		if to = append(to, w.To); w.To.Is4() {
			four = append(four, w)
		} else {
			six = append(six, w)
		}
	}
	for w := range others {
		toOthers = append(toOthers, w.To)
	}
	return errors.Join(alterSet(conn, do, p.ways4(), four, Way.key), alterSet(conn, do, p.ways6(), six, Way.key),
		alterSet(conn, do, p.clients(), newTails(to, toOthers), tail.key))
}

func diverted4(p place) []expr.Any {
	return slices.Concat(version(4),
		in(p.clients(), expr.PayloadBaseNetworkHeader, destination4),
		in(p.ways4(), expr.PayloadBaseNetworkHeader, source4))
}

func diverted6(p place) []expr.Any {
	return slices.Concat(version(6),
		in(p.clients(), expr.PayloadBaseNetworkHeader, destination6+12),
		in(p.ways6(), expr.PayloadBaseNetworkHeader, source6))
}
