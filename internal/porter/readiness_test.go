package porter

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// answers reports whether a client that has not knocked is answered for ip.
func (x *fixture) answers(ip netip.Addr) bool { return x.answersTo(otherMAC, ip) }

// answersTo reports whether the client with this MAC is.
func (x *fixture) answersTo(mac ether.MAC, ip netip.Addr) bool {
	before := len(x.sent)
	if ip.Is4() {
		x.hear(lantest.ARPRequest(mac, ether.Broadcast, client4, ip))
	} else {
		x.hear(lantest.Solicit(mac, client6, ip))
	}
	// Without this question the test would find another number of frames.
	i := slices.IndexFunc(x.sent[before:], func(s sentFrame) bool {
		return s.Dst == mac && (s.Kind == lan.ARPReply && s.From == ip || s.Kind == lan.NeighborAdvertisement && s.Target == ip && s.Solicited)
	})
	if i < 0 {
		return false
	}
	x.sent = slices.Delete(x.sent, before+i, before+i+1)
	return true
}

// want fails the test unless the machine is in the state, and answered for at
// exactly these addresses.
func (x *fixture) want(e *entry, state machine.State, answered ...netip.Addr) {
	x.Helper()
	if e.State() != state {
		x.Fatalf("%s is %v, want %v\n%s", e.name(), e.State(), state, &x.output)
	}
	spec := e.Spec()
	for _, ip := range spec.Addrs() {
		if state == machine.Arriving { // every host is answered, and pinned again
			if got := x.n.reader.View().Address(ip).AnswersClients(); got != slices.Contains(e.Claimed(), ip) {
				x.Errorf("%s arrives, and clients of %v are kept here: %t", e.name(), ip, got)
			}
			continue
		}
		if got := x.answers(ip); got != slices.Contains(answered, ip) {
			x.Errorf("%s is %v, answered for at %v: %t", e.name(), state, ip, got)
		}
	}
}

// announced returns at whom ip was announced to all on the first interface since
// the last call, and forgets it.
func (x *fixture) announced(ip netip.Addr) (owners []ether.MAC) {
	x.sent = slices.DeleteFunc(x.sent, func(s sentFrame) bool {
		about, owner, all := s.announces()
		mine := all && about == ip && s.on == x.n
		// For IPv4 there are two frames.
		if mine && s.Kind != lan.ARPRequest {
			owners = append(owners, owner)
		}
		return mine
	})
	return owners
}

// announces returns which address the frame says is at whom, and whether to all.
func (s *sentFrame) announces() (ip netip.Addr, owner ether.MAC, all bool) {
	switch {
	case (s.Kind == lan.ARPRequest || s.Kind == lan.ARPReply) && s.From == s.To:
		return s.From, s.SenderMAC, s.Dst == ether.Broadcast
	case s.Kind == lan.NeighborAdvertisement && !s.Solicited:
		return s.Target, s.SenderMAC, !s.Dst.Unicast()
	}
	return netip.Addr{}, ether.MAC{}, false
}

// forgetSent forgets what was sent so far.
func (x *fixture) forgetSent() { x.sent = nil }

// count returns how many frames were sent that match, since they were forgotten.
func (x *fixture) count(match func(*sentFrame) bool) (n int) {
	for i := range x.sent {
		if match(&x.sent[i]) {
			n++
		}
	}
	return n
}

// logged returns how often the log has the text.
func (x *fixture) logged(text string) int { return strings.Count(x.output.String(), text) }

// unwatched fails the test if a reader looks out for anything.
func (x *fixture) unwatched() {
	x.Helper()
	for i, n := range x.nics {
		v := n.reader.View()
		for _, spec := range []machine.Spec{nas(), tv()} {
			for _, ip := range spec.Addrs() {
				if v.Address(ip) != nil {
					x.Errorf("interface %d: %v is watched", i, ip)
				}
			}
		}
		if in := v.Interest(nil); len(in.MACs) > 0 || len(in.Addrs) > 0 {
			x.Errorf("interface %d: the filter passes %v and %v", i, in.MACs, in.Addrs)
		}
	}
}

// wantNames fails the test unless exactly these machines are known, and both maps
// agree.
func (x *fixture) wantNames(want ...string) {
	x.Helper()
	var got []string
	for _, e := range x.machines.sorted() {
		got = append(got, e.name())
		if x.machines.named[e.name()] != e || x.machines.byMAC[e.Spec().MAC] != e {
			x.Errorf("the maps disagree about %s", e.name())
		}
	}
	if len(x.machines.byMAC) != len(x.machines.named) {
		x.Errorf("%d machines by MAC, %d by name", len(x.machines.byMAC), len(x.machines.named))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		x.Errorf("machines (-want +got):\n%s", diff)
	}
}

// series returns how many series a metric has for a machine.
func (x *fixture) series(metric, name string) (n int) {
	x.Helper()
	families, err := x.metrics.Gather()
	if err != nil {
		x.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != metric {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "machine" && l.GetValue() == name {
					n++
				}
			}
		}
	}
	return n
}

// latencies returns the count and the sum of the wake latencies.
func (x *fixture) latencies() (count uint64, sum float64) {
	x.Helper()
	families, err := x.metrics.Gather()
	if err != nil {
		x.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "nightporter_wake_latency_seconds" {
			h := f.GetMetric()[0].GetHistogram()
			return h.GetSampleCount(), h.GetSampleSum()
		}
	}
	x.Fatal("no wake latencies")
	return 0, 0
}
