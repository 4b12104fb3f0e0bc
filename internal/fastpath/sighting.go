package fastpath

import (
	"net/netip"
	"sync/atomic"
	"time"

	"nightporter/internal/ether"
)

// Sighting is what a reader reports to the event loop. The receiver must call Taken before
// the next one of its kind can follow.
type Sighting struct {
	Kind    Kind
	Target  *Target
	Address *Address       // nil for SawFrame, SawOtherAnswer, SawSuppressed, SawVisit and SawRequest
	Service *Service       // of a knock, and of what answers a probe of a service
	Other   netip.Addr     // of SawFrame and SawOtherAnswer: the sender's address, which is not the target's; may be invalid
	Source  netip.AddrPort // of a knock
	At      time.Time      // of SawKnock: the kernel's receive time
	By      ether.MAC      // of SawConflict and SawContest: the other host
}

// Kind is the kind of a sighting. The first group is for frames of the machine itself.
type Kind uint8

// The kinds of sightings.
const (
	SawFrame       Kind = iota // a frame for none of its addresses
	SawTest                    // a test whether it may use an address (RFC 5227, RFC 4862 section 5.4)
	SawUse                     // ARP or neighbor discovery from an address, or ICMP
	SawPacket                  // TCP or UDP from an address
	SawAnswer                  // an answer to our own request for an address
	SawOtherAnswer             // ... for an address that is not its own
	SawEcho                    // an echo reply to our own request
	SawAccept                  // a SYN-ACK to our probe of a service
	SawReset                   // a RST to our probe of a service
	SawReject                  // a "port unreachable" to the datagram that probes a service

	SawKnock      // a client's packet that may wake the machine
	SawSuppressed // packets that do not wake the machine, for which an event is due
	SawConflict   // another host that uses an address of the machine
	SawContest    // another host that tests an address that is not defended
	SawRequest    // a client's request for an address, which the machine or its network card answers too
	SawTraffic    // traffic for a machine that may be up after all
	SawDiversion  // ARP or neighbor discovery that may divert clients to the machine
	kinds
)

// report sends s to the event loop, unless underway shows that one of its kind is queued
// already.
func (r *Reader) report(underway *atomic.Bool, s Sighting) {
	if !underway.CompareAndSwap(false, true) {
		return
	}
	select {
	case r.sightings <- s:
	default:
		// The queue is full. A client repeats its knock, and a machine that is up
		// sends more frames.
		underway.Store(false)
		r.skipped.Add(1)
	}
}

// Taken marks s as received, so that the next of its kind is reported.
func (s *Sighting) Taken() {
	switch s.Kind {
	case SawFrame:
		s.Target.frame.Store(false)
	case SawOtherAnswer:
		s.Target.otherAnswer.Store(false)
	case SawTest, SawUse, SawPacket, SawAnswer, SawEcho:
		s.Address.reported[s.Kind].Store(false)
	case SawReset:
		s.Service.reset.Store(false)
	case SawAccept:
		s.Service.accept.Store(false)
	case SawReject:
		s.Service.reject.Store(false)
	case SawKnock:
		s.Service.knock.Store(false)
	case SawSuppressed:
		s.Target.ignored.Store(false)
	case SawContest:
		s.Address.contest.Store(false)
	case SawConflict:
		s.Address.conflict.Store(false)
	case SawRequest:
		s.Target.request.Store(false)
	case SawTraffic:
		s.Target.traffic.Store(false)
	case SawDiversion:
		s.Address.diverted.Store(false)
	}
}
