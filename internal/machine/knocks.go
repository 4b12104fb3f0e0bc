package machine

import "slices"

// PortKnocks counts how often clients knocked at a port of the sleeping machine, at
// any of its addresses. Within one wake a port counts once.
type PortKnocks struct {
	Port  Port
	Count uint64
}

// Knocks counts knocks by port, in the order of Port.Compare. It is never changed once
// made, so it may be shared.
type Knocks []PortKnocks

// Of returns how often a port was knocked at.
func (k Knocks) Of(p Port) uint64 {
	if i, found := k.find(p); found {
		return k[i].Count
	}
	return 0
}

func (k Knocks) find(p Port) (int, bool) {
	return slices.BinarySearchFunc(k, p, func(at PortKnocks, p Port) int { return at.Port.Compare(p) })
}

// with returns k with one more knock at a port.
func (k Knocks) with(p Port) Knocks {
	k = slices.Clone(k)
	i, found := k.find(p)
	if !found {
		return slices.Insert(k, i, PortKnocks{Port: p, Count: 1})
	}
	k[i].Count++
	return k
}

// among returns the counts of k for these ports, which are sorted.
func (k Knocks) among(ports []Port) Knocks {
	var kept Knocks
	for _, at := range k {
		if _, found := slices.BinarySearchFunc(ports, at.Port, Port.Compare); found {
			kept = append(kept, at)
		}
	}
	return kept
}
