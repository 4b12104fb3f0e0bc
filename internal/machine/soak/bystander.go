package soak

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/machine"
)

// sentProbe is a probe of the porter and its result.
type sentProbe struct {
	at       time.Time
	answered bool // the host itself answered, and the porter received that
	lost     bool // the probe or an answer was lost
}

// bystander observes who answers for an address, and which frames reach the porter.
type bystander struct {
	held         map[netip.Addr]bool // claimed addresses: true while the porter answers for them
	kept         map[netip.Addr]bool // released addresses: clients may still send to the porter
	announcing   map[netip.Addr]*timer
	heardTest    map[netip.Addr]time.Time // last probe of the host that the porter received
	firstTest    map[netip.Addr]time.Time // first of these probes without a gap
	heardUse     map[netip.Addr]time.Time
	probes       []*sentProbe // the last eight
	awakeAndDeaf bool         // reception was lost while the machine was awake, and it has not registered since
	history      []record     // the last events and actions
}

func (b *bystander) reset() {
	b.held, b.kept, b.announcing = map[netip.Addr]bool{}, map[netip.Addr]bool{}, map[netip.Addr]*timer{}
	b.heardTest, b.firstTest, b.heardUse = map[netip.Addr]time.Time{}, map[netip.Addr]time.Time{}, map[netip.Addr]time.Time{}
	b.probes, b.awakeAndDeaf = nil, false
}

// addProbe records a probe that the porter sends.
func (b *bystander) addProbe(at time.Time) *sentProbe {
	p := &sentProbe{at: at}
	if len(b.probes) >= 8 {
		b.probes = slices.Delete(b.probes, 0, 1)
	}
	b.probes = append(b.probes, p)
	return p
}

// lastProbe is the time of the last probe, zero if there is none.
func (b *bystander) lastProbe() time.Time {
	if len(b.probes) == 0 {
		return time.Time{}
	}
	return b.probes[len(b.probes)-1].at
}

// record is one line of the history.
type record struct {
	at   time.Time
	what any
}

// note adds an event or an action to the history.
func (b *bystander) note(at time.Time, what any) {
	switch what.(type) {
	case machine.Ticked, machine.Persist, machine.FilterKnocks:
		return
	}
	if len(b.history) >= 160 {
		b.history = append(b.history[:0], b.history[80:]...)
	}
	b.history = append(b.history, record{at, what})
}

// lines returns the history with one record a line.
func (b *bystander) lines() string {
	var lines strings.Builder
	for _, r := range b.history {
		fmt.Fprintf(&lines, "\n%s %T%+v", r.at.Format("02T15:04:05.000"), r.what, r.what)
	}
	return lines.String()
}
